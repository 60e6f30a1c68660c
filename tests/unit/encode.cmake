unit_test(encode SEES http)
