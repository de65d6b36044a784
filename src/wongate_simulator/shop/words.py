"""Everything the shop says, in Korean, English and Russian. A test fails when a language lacks a key.

Korean sentences avoid particles that depend on the word before them; Russian ones avoid counted nouns.
"""

from wongate_simulator.shop import words_en, words_ko, words_ru

LANGUAGES = {"ko": "한국어", "en": "English", "ru": "Русский"}
WORDS = {"ko": words_ko.WORDS, "en": words_en.WORDS, "ru": words_ru.WORDS}
