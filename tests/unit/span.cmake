unit_test(span SEES http)
