/*
 * generator_text.c
 *	  Column kinds name, email, user_name, company, product, text, pattern
 *	  and card.
 *
 * Prepared once per process, filled once per row.  No statement draws twice:
 * compilers differ in the order in which they evaluate arguments.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "generator/generator.h"
#include "generator/words.h"

typedef struct PersonState
{
	char		form[12];
	WhColumn   *sex;			/* column that tells the sex, or NULL */
	WhColumn   *from;			/* column that holds the person's name, or NULL */
	bool		is_unique;
} PersonState;

typedef struct TextState
{
	int			min;
	int			max;
	char	   *pattern;
} TextState;

/* Pick a word; the first ones are the more frequent. */
static const char *
pick_common(const WhWords *words, WhRandom *random)
{
	uint64		a = wh_random_below(random, words->count);
	uint64		b = wh_random_below(random, words->count);

	return words->words[Min(a, b)];
}

static const char *
pick(const WhWords *words, WhRandom *random)
{
	return words->words[wh_random_below(random, words->count)];
}

/* Append a blank and a word. */
static void
append_word(StringInfo text, const char *word)
{
	appendStringInfoChar(text, ' ');
	appendStringInfoString(text, word);
}

static void
put(WhGenerator *generator, WhColumn *column)
{
	wh_value_text(generator, column, generator->text.data, generator->text.len);
}

/* Names ---------------------------------------------------------------------- */

/* Append a person's name; sex is 'F', 'M' or anything else for either. */
void
wh_generator_append_name(WhGenerator *generator, StringInfo text, WhRandom *random, const char *form, char sex)
{
	uint64		coin = wh_random_next(random);

	if (strcmp(form, "last") != 0)
	{
		bool		is_female = sex == 'F' || (sex != 'M' && (coin & 1));

		appendStringInfoString(text, pick_common(is_female ? &wh_words_female : &wh_words_male, random));
		if (strcmp(form, "first") == 0)
			return;
		appendStringInfoChar(text, ' ');
		if ((coin >> 1) % 5 < 2)
		{
			appendStringInfoChar(text, 'A' + (char) wh_random_below(random, 26));
			appendStringInfoString(text, ". ");
		}
	}
	appendStringInfoString(text, pick_common(&wh_words_last, random));
	/* Some people have two last names. */
	if ((coin >> 8) % 32 == 0)
	{
		appendStringInfoChar(text, '-');
		appendStringInfoString(text, pick_common(&wh_words_last, random));
	}
}

static void
fill_name(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	PersonState *state = column->state;
	char		sex = '?';

	if (state->sex)
	{
		int			len;
		char	   *text = wh_value_get_text(generator, state->sex, &len);

		if (len > 0)
			sex = pg_ascii_toupper((unsigned char) text[0]) == 'W' ? 'F' : (char) pg_ascii_toupper((unsigned char) text[0]);
	}
	resetStringInfo(&generator->text);
	wh_generator_append_name(generator, &generator->text, random, state->form, sex);
	put(generator, column);
}

/*
 * Append the name part of an e-mail address.  A unique one ends with the
 * row's number, the only digits in it.
 */
static void
append_mail_name(WhGenerator *generator, PersonState *state, WhRandom *random)
{
	StringInfo	out = &generator->text;
	char		name[128];
	int			len = 0;
	char	   *first;
	char	   *last;
	uint64		style;

	if (state->from)
	{
		int			from_len;
		char	   *from = wh_value_get_text(generator, state->from, &from_len);

		for (int i = 0; i < from_len && len < sizeof(name) - 1; i++)
		{
			char		c = (char) pg_ascii_tolower((unsigned char) from[i]);

			if (c >= 'a' && c <= 'z')
				name[len++] = c;
			else if (c == ' ' && len > 0 && name[len - 1] != ' ')
				name[len++] = ' ';
		}
	}
	if (len == 0)
	{
		resetStringInfo(out);
		appendStringInfoString(out, pick_common((wh_random_next(random) & 1) ? &wh_words_female : &wh_words_male,
												random));
		appendStringInfo(out, " %s", pick_common(&wh_words_last, random));
		for (int i = 0; i < out->len && len < sizeof(name) - 1; i++)
			name[len++] = (char) pg_ascii_tolower((unsigned char) out->data[i]);
	}
	while (len > 0 && name[len - 1] == ' ')
		len--;
	name[len] = '\0';
	first = name;
	last = strrchr(name, ' ');
	if (last)
	{
		*strchr(name, ' ') = '\0';
		last++;
	}
	else
		last = "";

	resetStringInfo(out);
	style = wh_random_below(random, 100);
	if (style < 40 && *last)
		appendStringInfo(out, "%s.%s", first, last);
	else if (style < 60 && *last)
		appendStringInfo(out, "%c%s", first[0], last);
	else if (style < 75 && *last)
		appendStringInfo(out, "%s_%s", first, last);
	else if (style < 88 && *last)
		appendStringInfo(out, "%s%c", first, last[0]);
	else
		appendStringInfo(out, "%s%s", first, last);
	if (state->is_unique)
		appendStringInfo(out, INT64_FORMAT, generator->row);
	else if (wh_random_below(random, 3) > 0)
		appendStringInfo(out, "%d", (int) wh_random_below(random, 98) + 1);
}

static void
fill_email(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	append_mail_name(generator, column->state, random);
	appendStringInfoChar(&generator->text, '@');
	appendStringInfoString(&generator->text, pick_common(&wh_words_mail_host, random));
	put(generator, column);
}

static void
fill_user_name(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	append_mail_name(generator, column->state, random);
	put(generator, column);
}

/* Prepare kinds name, email and user_name. */
void
wh_generator_prepare_person(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	static const char *const name_options[] = {"form", "sex", NULL};
	static const char *const mail_options[] = {"from", "unique", NULL};
	char	   *kind = wh_spec_text(spec, "kind", NULL);
	PersonState *state = palloc0(sizeof(PersonState));
	bool		is_name = strcmp(kind, "name") == 0;

	wh_spec_check_options(spec, kind, is_name ? name_options : mail_options);
	wh_generator_depend(generator, column, spec, is_name ? "sex" : "from");
	column->state = state;
	if (is_name)
	{
		char	   *form = wh_spec_text(spec, "form", "full");

		if (strcmp(form, "full") != 0 && strcmp(form, "first") != 0 && strcmp(form, "last") != 0)
			wh_spec_error(spec, "option \"form\" must be full, first or last");
		strlcpy(state->form, form, sizeof(state->form));
		if (column->ndepends)
			state->sex = &generator->columns[column->depends[0]];
		column->fill = fill_name;
		return;
	}
	state->is_unique = wh_spec_boolean(spec, "unique", false);
	if (state->is_unique && column->max_chars >= 0 && column->max_chars < 64)
		wh_spec_error(spec, "a unique value needs a column of at least 64 characters");
	if (column->ndepends)
		state->from = &generator->columns[column->depends[0]];
	column->fill = strcmp(kind, "email") == 0 ? fill_email : fill_user_name;
}

/* Trade and prose -------------------------------------------------------------- */

static void
fill_company(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	bool		is_family = wh_random_below(random, 3) == 0;

	resetStringInfo(&generator->text);
	appendStringInfoString(&generator->text, is_family ? pick_common(&wh_words_last, random) :
						   pick(&wh_words_company, random));
	append_word(&generator->text, pick(&wh_words_company_kind, random));
	put(generator, column);
}

static void
fill_product(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	resetStringInfo(&generator->text);
	appendStringInfoString(&generator->text, pick(&wh_words_quality, random));
	append_word(&generator->text, pick(&wh_words_material, random));
	append_word(&generator->text, pick(&wh_words_thing, random));
	if (wh_random_below(random, 2) == 0)
		appendStringInfo(&generator->text, " %d", (int) (wh_random_below(random, 99) + 1) * 10);
	put(generator, column);
}

static void
fill_text(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	TextState  *state = column->state;
	int			sentences = state->min + (int) wh_random_below(random, state->max - state->min + 1);

	resetStringInfo(&generator->text);
	for (int i = 0; i < sentences; i++)
	{
		const char *opening = wh_random_below(random, 2) == 0 ? pick(&wh_words_opening, random) : NULL;
		const char *verb = pick(&wh_words_verb, random);

		if (i > 0)
			appendStringInfoChar(&generator->text, ' ');
		if (opening)
		{
			appendStringInfoString(&generator->text, opening);
			append_word(&generator->text, verb);
		}
		else
		{
			appendStringInfoChar(&generator->text, (char) pg_ascii_toupper((unsigned char) verb[0]));
			appendStringInfoString(&generator->text, verb + 1);
		}
		append_word(&generator->text, pick(&wh_words_object, random));
		append_word(&generator->text, pick(&wh_words_closing, random));
		appendStringInfoChar(&generator->text, '.');
	}
	put(generator, column);
}

static void
fill_pattern(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	static const char alphanumeric[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	TextState  *state = column->state;

	resetStringInfo(&generator->text);
	for (const char *c = state->pattern; *c; c++)
	{
		char		out = *c;

		if (*c == '#')
			out = '0' + (char) wh_random_below(random, 10);
		else if (*c == '@')
			out = 'A' + (char) wh_random_below(random, 26);
		else if (*c == '?')
			out = 'a' + (char) wh_random_below(random, 26);
		else if (*c == '*')
			out = alphanumeric[wh_random_below(random, sizeof(alphanumeric) - 1)];
		else if (*c == '\\' && c[1])
			out = *++c;
		appendStringInfoChar(&generator->text, out);
	}
	put(generator, column);
}

/* Make 16 digits that pass the check of card numbers (Luhn's). */
static void
fill_card(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	char		digits[16];
	int			sum = 0;

	digits[0] = wh_random_below(random, 3) < 2 ? 4 : 5;
	digits[1] = (char) (digits[0] == 4 ? wh_random_below(random, 10) : 1 + wh_random_below(random, 5));
	for (int i = 2; i < 15; i++)
		digits[i] = (char) wh_random_below(random, 10);
	for (int i = 0; i < 15; i++)
	{
		int			doubled = digits[i] * (i % 2 == 0 ? 2 : 1);

		sum += doubled > 9 ? doubled - 9 : doubled;
	}
	digits[15] = (char) ((10 - sum % 10) % 10);
	for (int i = 0; i < 16; i++)
		digits[i] += '0';
	wh_value_text(generator, column, digits, 16);
}

/* Prepare kinds company, product, text, pattern and card. */
void
wh_generator_prepare_text(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	static const char *const no_options[] = {NULL};
	static const char *const text_options[] = {"min", "max", NULL};
	static const char *const pattern_options[] = {"pattern", NULL};
	char	   *kind = wh_spec_text(spec, "kind", NULL);
	TextState  *state = palloc0(sizeof(TextState));

	column->state = state;
	if (strcmp(kind, "text") == 0)
	{
		wh_spec_check_options(spec, kind, text_options);
		state->min = (int) wh_spec_integer(spec, "min", 1);
		state->max = (int) wh_spec_integer(spec, "max", Max(state->min, 2));
		if (state->min < 0 || state->max < state->min || state->max > 10000)
			wh_spec_error(spec, "options \"min\" and \"max\", in sentences, must be in order and between 0 and 10000");
		column->fill = fill_text;
	}
	else if (strcmp(kind, "pattern") == 0)
	{
		wh_spec_check_options(spec, kind, pattern_options);
		state->pattern = wh_spec_text(spec, "pattern", NULL);
		if (state->pattern == NULL)
			wh_spec_error(spec, "kind \"pattern\" needs option \"pattern\"");
		column->fill = fill_pattern;
	}
	else
	{
		wh_spec_check_options(spec, kind, no_options);
		column->fill = strcmp(kind, "company") == 0 ? fill_company :
			strcmp(kind, "product") == 0 ? fill_product : fill_card;
	}
}
