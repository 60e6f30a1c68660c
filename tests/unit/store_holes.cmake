unit_test(store_holes SEES storage)
