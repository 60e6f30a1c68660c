# Pulsar's REST dialect: its request's text, and its answer.
unit_test(pulsar_envelope SEES http)
unit_test(pulsar_pack SEES http)
unit_test(pulsar_results SEES http)
