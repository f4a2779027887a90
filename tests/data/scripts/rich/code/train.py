import helper

print(helper.NAME)
