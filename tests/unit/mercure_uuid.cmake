unit_test(mercure_uuid SEES http)
