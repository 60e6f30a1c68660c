unit_test(url SEES http)
