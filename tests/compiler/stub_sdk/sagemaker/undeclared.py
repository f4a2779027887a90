"""A part of an SDK that imports what the SDK does not say that it needs, as some releases do."""

import a_package_that_nobody_named  # noqa: F401
