/*
 * date_dimension.c
 *	  wh.create_date_dimension: a dimension with a member per day.
 *
 * Runs in the caller's transaction, as the caller, who then owns the table.
 * The members are made here once; a fact's date outside the range becomes an
 * inferred member, as for any dimension.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"

#include "metadata/catalog.h"
#include "base/object_name.h"
#include "base/spi_query.h"

/*
 * The columns, in order: name, type, and value for day "d", whose fiscal month
 * is the calendar month of "f".  Templates of to_char without TM speak English
 * whatever lc_time is.
 */
static const struct
{
	const char *name;
	const char *type;
	const char *value;
}			columns[] =

{
	{"date", "date", "d::date"},
	{"day", "int", "extract(day FROM d)"},
	{"day_of_year", "int", "extract(doy FROM d)"},
	{"day_name", "text", "to_char(d, 'FMDay')"},
	{"is_weekend", "boolean", "extract(isodow FROM d) >= 6"},
	{"iso_day", "int", "extract(isodow FROM d)"},
	{"iso_week", "int", "extract(week FROM d)"},
	{"iso_year", "int", "extract(isoyear FROM d)"},
	{"iso_year_week", "text", "to_char(d, 'IYYY-\"W\"IW')"},
	{"month", "int", "extract(month FROM d)"},
	{"month_name", "text", "to_char(d, 'FMMonth')"},
	{"year_month", "text", "to_char(d, 'YYYY-MM')"},
	{"quarter", "int", "extract(quarter FROM d)"},
	{"year_quarter", "text", "to_char(d, 'YYYY-\"Q\"Q')"},
	{"year", "int", "extract(year FROM d)"},
	{"fiscal_month", "int", "extract(month FROM f)"},
	{"fiscal_quarter", "int", "extract(quarter FROM f)"},
	{"fiscal_year_quarter", "text", "to_char(f, '\"FY\"YYYY-\"Q\"Q')"},
	{"fiscal_year", "int", "extract(year FROM f)"},
};

/*
 * Shift a month so that the fiscal year's first one becomes January of the
 * calendar year in which the fiscal year ends.
 */
#define FISCAL_MONTH \
	"date_trunc('month', d) + make_interval(months => (13 - $3) % 12)"

static DateADT
day_arg(FunctionCallInfo fcinfo, int argument, const char *name)
{
	DateADT		day = PG_GETARG_DATEADT(argument);
	int			key = DATE_NOT_FINITE(day) ? 0 : wh_date_key(day) / 10000;

	if (key < 1 || key > 9999)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("%s is out of range", name),
				 errhint("Use a date from 0001-01-01 to 9999-12-31.")));
	return day;
}

/* Make the table, its index and members -1 and -2. */
static void
create_table(const WhObjectName *name, const char *key_column)
{
	StringInfoData sql,
				texts;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (%s bigint PRIMARY KEY", name->qualified,
					 quote_identifier(key_column));
	for (int i = 0; i < lengthof(columns); i++)
	{
		if (strcmp(columns[i].name, key_column) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_RESERVED_NAME),
					 errmsg("column name \"%s\" is the surrogate key's", key_column),
					 errhint("Choose another name for the dimension.")));
		appendStringInfo(&sql, ", %s pg_catalog.%s", quote_identifier(columns[i].name),
						 strcmp(columns[i].type, "int") == 0 ? "int4" :
						 strcmp(columns[i].type, "boolean") == 0 ? "bool" : columns[i].type);
	}
	appendStringInfoString(&sql, ", effective_from timestamptz NOT NULL, effective_to timestamptz NOT NULL,"
						   " is_current boolean NOT NULL, is_inferred boolean NOT NULL, batch_id bigint)");
	wh_spi_execute(sql.data, 0, NULL, NULL, NULL);
	wh_spi_execute(psprintf("CREATE UNIQUE INDEX ON %s (date, effective_from)", name->qualified),
				   0, NULL, NULL, NULL);
	for (int key = -1; key >= -2; key--)
	{
		initStringInfo(&sql);
		initStringInfo(&texts);
		for (int i = 0; i < lengthof(columns); i++)
			if (strcmp(columns[i].type, "text") == 0)
			{
				appendStringInfo(&sql, ", %s", quote_identifier(columns[i].name));
				appendStringInfoString(&texts, key == -1 ? ", 'Unknown'" : ", 'Not applicable'");
			}
		wh_spi_execute(psprintf("INSERT INTO %s (%s, effective_from, effective_to, is_current, is_inferred%s)"
								" VALUES (%d, '-infinity', 'infinity', true, false%s)",
								name->qualified, quote_identifier(key_column), sql.data, key, texts.data),
					   0, NULL, NULL, NULL);
	}
}

/* Insert a member per day. */
static void
insert_days(const WhObjectName *name, DateADT from, DateADT to, int fiscal_year_start)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s SELECT to_char(d, 'YYYYMMDD')::bigint", name->qualified);
	for (int i = 0; i < lengthof(columns); i++)
		appendStringInfo(&sql, ", %s", columns[i].value);
	appendStringInfoString(&sql, ", '-infinity', 'infinity', true, false, NULL"
						   " FROM generate_series(0, $2 - $1) n,"
						   " LATERAL (SELECT ($1 + n)::timestamp AS d) day,"
						   " LATERAL (SELECT " FISCAL_MONTH " AS f) fiscal");
	wh_spi_execute(sql.data, 3, (Oid[]) {DATEOID, DATEOID, INT4OID},
				   (Datum[]) {DateADTGetDatum(from), DateADTGetDatum(to), Int32GetDatum(fiscal_year_start)},
				   NULL);
	wh_spi_execute(psprintf("ANALYZE %s", name->qualified), 0, NULL, NULL, NULL);
}

PG_FUNCTION_INFO_V1(wh_create_date_dimension);

/*
 * wh.create_date_dimension(dimension, from_date, to_date, fiscal_year_start)
 * returns regclass
 */
Datum
wh_create_date_dimension(PG_FUNCTION_ARGS)
{
	WhObjectName name;
	DateADT		from,
				to;
	int			fiscal_year_start;
	Oid			table;
	Datum		key = CStringGetTextDatum("date");

	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("arguments of wh.create_date_dimension must not be NULL")));
	from = day_arg(fcinfo, 1, "from_date");
	to = day_arg(fcinfo, 2, "to_date");
	fiscal_year_start = PG_GETARG_INT32(3);
	if (from > to)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_date is after to_date")));
	if (fiscal_year_start < 1 || fiscal_year_start > 12)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid fiscal_year_start %d", fiscal_year_start),
				 errhint("Use the number of the fiscal year's first month, from 1 to 12.")));

	SPI_connect();
	name = wh_object_name(text_to_cstring(PG_GETARG_TEXT_PP(0)), "mart");
	wh_object_name_check_free(&name, "");
	wh_object_schema_ensure(name.schema);
	create_table(&name, wh_object_name_add(&name, "_key"));
	insert_days(&name, from, to, fiscal_year_start);
	table = get_relname_relid(name.name, get_namespace_oid(name.schema, false));
	wh_catalog_execute("INSERT INTO wh.dimension (relation, kind, natural_key, default_scd, history)"
					   " VALUES ($1::regclass, 'date', $2, 1, 'none')",
					   2, (Oid[]) {OIDOID, TEXTARRAYOID},
					   (Datum[]) {ObjectIdGetDatum(table),
						   PointerGetDatum(construct_array(&key, 1, TEXTOID, -1, false, TYPALIGN_INT))},
					   NULL);
	SPI_finish();
	PG_RETURN_OID(table);
}
