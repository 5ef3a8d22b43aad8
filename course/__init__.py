"""The course: units in nbgrader's format, their renderings, and a grader that runs nobody's code in its own process."""
