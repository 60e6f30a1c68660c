unit_test(batch SEES http)
unit_test(batch_random SEES http)
