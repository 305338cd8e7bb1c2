/*
 * csv_analyze.c
 *	  ANALYZE of CSV tables: a random sample over all files.
 *
 * Every record is split, only sampled ones are converted.  Records that can't
 * be read are left out.  Runs in the backend that analyzes, under its lock.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "commands/vacuum.h"
#include "utils/rel.h"
#include "utils/sampling.h"

#include "csv/csv_fdw.h"
#include "csv/csv_source.h"

/* Sample up to target rows; an AcquireSampleRowsFunc. */
static int
acquire_rows(Relation rel, int elevel, HeapTuple *rows, int target,
			 double *total, double *dead)
{
	WhCsvTable *table = wh_csv_table_open(RelationGetRelid(rel));
	ReservoirStateData reservoir;
	double		seen = 0;
	double		to_skip = -1;
	double		broken = 0;
	int			n = 0;
	ListCell   *lc;

	reservoir_init_selection_state(&reservoir, target);
	foreach(lc, wh_csv_table_files(table))
	{
		WhCsvFileInfo *file = lfirst(lc);
		WhCsvScan  *scan = wh_csv_begin(table, file->name, NULL,
										WH_CSV_COLLECT | WH_CSV_LAZY);
		WhSourceRow *row;

		while ((row = wh_csv_next(scan)) != NULL)
		{
			int			slot = -1;

			wh_analyze_delay_point();
			if (row->errors != NIL)
			{
				broken++;
				continue;
			}
			if (n < target)
				slot = n;
			else
			{
				if (to_skip < 0)
					to_skip = reservoir_get_next_S(&reservoir, seen, target);
				if (to_skip-- <= 0)
				{
					slot = (int) (target * sampler_random_fract(&reservoir.randstate));
					to_skip = -1;
				}
			}
			seen++;
			if (slot < 0)
				continue;
			wh_csv_convert(scan);
			if (row->errors != NIL)
			{
				broken++;
				continue;
			}
			if (slot < n)
				heap_freetuple(rows[slot]);
			else
				n++;
			rows[slot] = heap_form_tuple(RelationGetDescr(rel), row->values, row->isnull);
		}
		wh_csv_end(scan);
	}
	*total = seen;
	*dead = 0;
	ereport(elevel,
			(errmsg("\"%s\": files contain %.0f rows; %d rows in sample; %.0f records left out",
					RelationGetRelationName(rel), seen, n, broken)));
	return n;
}

/* Say how to analyze a table, and its size; an AnalyzeForeignTable_function. */
bool
wh_csv_analyze(Relation rel, AcquireSampleRowsFunc *func, BlockNumber *pages)
{
	WhCsvTable *table = wh_csv_table_open(RelationGetRelid(rel));
	double		bytes = wh_csv_list_size(wh_csv_table_files(table));

	*func = acquire_rows;
	*pages = (BlockNumber) Min(ceil(bytes / BLCKSZ) + (bytes == 0), (double) MaxBlockNumber);
	return true;
}
