unit_test(percent SEES http)
