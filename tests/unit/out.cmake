unit_test(out SEES http)
