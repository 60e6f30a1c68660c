unit_test(record SEES storage)
