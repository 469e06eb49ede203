"""Presidio on the texts of the rules' figures: reads {"text"} lines, writes for each [[entity, start, end, score], ...]."""

import json
import logging
import sys

from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NlpEngineProvider

# What our rules recognise too. Names, places, dates and URLs are left out: a sentence has them without being personal data.
ENTITIES = ["EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "US_ITIN", "IP_ADDRESS", "MAC_ADDRESS", "CRYPTO", "PHONE_NUMBER"]

logging.disable(logging.WARNING)
configuration = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": sys.argv[1]}]}
analyzer = AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=configuration).create_engine(), supported_languages=["en"])
supported = [entity for entity in ENTITIES if entity in analyzer.get_supported_entities("en")]
for line in sys.stdin:
    results = analyzer.analyze(text=json.loads(line)["text"], language="en", entities=supported)
    print(json.dumps([[result.entity_type, result.start, result.end, result.score] for result in results]))
