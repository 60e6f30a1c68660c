unit_test(store_cursors SEES storage)
