unit_test(push_address SEES http)
unit_test(push_url SEES http)
unit_test(push_pace SEES http)
