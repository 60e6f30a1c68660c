unit_test(base64 SEES http)
