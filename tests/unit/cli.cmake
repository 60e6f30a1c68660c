unit_test(cli SEES http)
