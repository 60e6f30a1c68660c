unit_test(batch SEES http)
