#include "postgres.h"
#include "splice.h"
void wh_snapshot_begin(WhIngest *ing) {}
void wh_snapshot_end(WhIngest *ing) {}
void wh_snapshot_abandon(WhIngest *ing) {}
void wh_snapshot_note_reject(WhIngest *ing, WhIngestRow *row) {}
