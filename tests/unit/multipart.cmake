unit_test(multipart SEES http)
