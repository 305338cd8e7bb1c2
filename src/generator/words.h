/*
 * words.h
 *	  Word lists of the data generator.
 *
 * Constant data, safe in any process.  Every word is ASCII, so that it is
 * valid in every database encoding.
 */
#ifndef WH_WORDS_H
#define WH_WORDS_H

typedef struct WhWords
{
	const char *const *words;
	int			count;
} WhWords;

/* A city with its state, the ZIP codes it has and a telephone area code. */
typedef struct WhPlace
{
	const char *city;
	const char *state;			/* two letters */
	int			zip_first;
	int			zip_last;
	int			area_code;
	int			weight;			/* about its share of people */
} WhPlace;

/* Names, the common ones first. */
extern const WhWords wh_words_female;
extern const WhWords wh_words_male;
extern const WhWords wh_words_last;

/* Places and streets. */
extern const WhPlace wh_words_places[];
extern const int wh_words_place_count;
extern const WhWords wh_words_street;
extern const WhWords wh_words_street_kind;

/* Trade and prose. */
extern const WhWords wh_words_quality;
extern const WhWords wh_words_material;
extern const WhWords wh_words_thing;
extern const WhWords wh_words_company;
extern const WhWords wh_words_company_kind;
extern const WhWords wh_words_mail_host;
extern const WhWords wh_words_opening;
extern const WhWords wh_words_verb;
extern const WhWords wh_words_object;
extern const WhWords wh_words_closing;

#endif							/* WH_WORDS_H */
