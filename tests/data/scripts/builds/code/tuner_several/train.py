print("tuner_several")
