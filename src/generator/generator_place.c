/*
 * generator_place.c
 *	  Column kinds street, city, state, zip, phone and address.
 *
 * Prepared once per process, filled once per row.  Columns of a row with the
 * same "place" are of one city: its state, its ZIP codes, its area code.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "generator/generator.h"
#include "generator/words.h"

typedef struct PlaceState
{
	WhColumn   *name;			/* column with the addressee, or NULL */
	WhAlias    *weights;
} PlaceState;

/* Return the place of the row's group. */
static const WhPlace *
choose_place(WhGenerator *generator, WhColumn *column)
{
	WhGroup    *group = column->group;
	PlaceState *state = column->state;

	if (group->chosen_for != generator->row || group->chosen_variation != generator->variation)
	{
		WhRandom	random = wh_random_start(group->stream ^ generator->variation, generator->row);

		group->chosen = wh_random_alias(state->weights, &random);
		group->chosen_for = generator->row;
		group->chosen_variation = generator->variation;
	}
	return &wh_words_places[group->chosen];
}

static void
append_street(WhGenerator *generator, WhRandom *random)
{
	static const int range[] = {100, 1000, 10000};
	StringInfo	text = &generator->text;
	uint64		unit = wh_random_below(random, 10);
	int			digits = (int) wh_random_below(random, 3);
	int			number = (int) wh_random_below(random, range[digits]) + 1;
	int			street = (int) wh_random_below(random, wh_words_street.count);
	int			kind = (int) wh_random_below(random, wh_words_street_kind.count);
	int			other_kind = (int) wh_random_below(random, wh_words_street_kind.count);

	appendStringInfo(text, "%d %s %s", number, wh_words_street.words[street],
					 wh_words_street_kind.words[Min(kind, other_kind)]);
	if (unit == 0)
		appendStringInfo(text, " Apt %d", (int) wh_random_below(random, 60) + 1);
	else if (unit == 1)
		appendStringInfo(text, " Unit %c", 'A' + (char) wh_random_below(random, 12));
}

static int
draw_zip(const WhPlace *place, WhRandom *random)
{
	return place->zip_first + (int) wh_random_below(random, place->zip_last - place->zip_first + 1);
}

static void
fill_street(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	resetStringInfo(&generator->text);
	append_street(generator, random);
	wh_value_text(generator, column, generator->text.data, generator->text.len);
}

static void
fill_city(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	const WhPlace *place = choose_place(generator, column);

	wh_value_text(generator, column, place->city, strlen(place->city));
}

static void
fill_state(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	const WhPlace *place = choose_place(generator, column);

	wh_value_text(generator, column, place->state, strlen(place->state));
}

static void
fill_zip(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	char		text[16];

	snprintf(text, sizeof(text), "%05d", draw_zip(choose_place(generator, column), random));
	wh_value_text(generator, column, text, 5);
}

static void
fill_phone(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	const WhPlace *place = choose_place(generator, column);
	int			exchange = 200 + (int) wh_random_below(random, 800);
	int			line = (int) wh_random_below(random, 10000);
	char		text[32];

	snprintf(text, sizeof(text), "(%03d) %03d-%04d", place->area_code, exchange, line);
	wh_value_text(generator, column, text, strlen(text));
}

/* Make "name\nstreet\ncity, ST zip". */
static void
fill_address(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	PlaceState *state = column->state;
	const WhPlace *place = choose_place(generator, column);
	StringInfo	text = &generator->text;
	int			len = 0;
	char	   *name = state->name ? wh_value_get_text(generator, state->name, &len) : NULL;

	resetStringInfo(text);
	if (len > 0)
		appendBinaryStringInfo(text, name, len);
	else
		wh_generator_append_name(generator, text, random, "full", '?');
	appendStringInfoChar(text, '\n');
	append_street(generator, random);
	appendStringInfo(text, "\n%s, %s %05d", place->city, place->state, draw_zip(place, random));
	wh_value_text(generator, column, text->data, text->len);
}

/* Prepare kinds street, city, state, zip, phone and address. */
void
wh_generator_prepare_place(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	static const char *const street_options[] = {NULL};
	static const char *const options[] = {"place", NULL};
	static const char *const address_options[] = {"place", "name", NULL};
	static const struct
	{
		const char *kind;
		WhFill		fill;
	}			fills[] = {
		{"address", fill_address}, {"city", fill_city}, {"phone", fill_phone},
		{"state", fill_state}, {"street", fill_street}, {"zip", fill_zip}
	};
	char	   *kind = wh_spec_text(spec, "kind", NULL);
	PlaceState *state = palloc0(sizeof(PlaceState));
	double	   *weights = palloc(sizeof(double) * wh_words_place_count);

	column->state = state;
	for (int i = 0; i < lengthof(fills); i++)
		if (strcmp(fills[i].kind, kind) == 0)
			column->fill = fills[i].fill;
	if (column->fill == fill_street)
	{
		wh_spec_check_options(spec, kind, street_options);
		return;
	}
	wh_spec_check_options(spec, kind, column->fill == fill_address ? address_options : options);
	column->group = wh_generator_group(generator, WH_GROUP_PLACE, wh_spec_text(spec, "place", "home"));
	for (int i = 0; i < wh_words_place_count; i++)
		weights[i] = wh_words_places[i].weight;
	state->weights = palloc(sizeof(WhAlias));
	wh_random_alias_init(state->weights, wh_words_place_count, weights);
	if (column->fill == fill_address)
	{
		wh_generator_depend(generator, column, spec, "name");
		if (column->ndepends)
			state->name = &generator->columns[column->depends[0]];
	}
}
