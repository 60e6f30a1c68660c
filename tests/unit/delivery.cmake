unit_test(delivery SEES broker)
unit_test(delayed SEES broker)
unit_test(dead_letter SEES broker)
unit_test(job SEES broker)
