unit_test(text SEES storage)
