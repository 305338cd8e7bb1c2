/*
 * row_form.c
 *	  Forms tuples of one table, faster than heap_form_tuple.
 *
 * A tuple is the same, byte for byte; it takes one pass over the values, knows
 * beforehand how each column is stored, and allocates nothing.  What is rare is
 * left to heap_form_tuple: wide rows, values that are elsewhere, C strings.
 */
#include "postgres.h"

#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/tupmacs.h"

#include "base/row_form.h"

/* How a column's values are stored in a tuple. */
typedef struct Stored
{
	int16		length;			/* -1: varlena; -2: C string */
	bool		by_value;
	bool		may_be_short;	/* have a header of one byte */
	uint8		alignment;
	uint16		infomask;		/* of tuples with such a value */
} Stored;

struct WhRowForm
{
	int			natts;
	Stored		columns[FLEXIBLE_ARRAY_MEMBER];
};

StaticAssertDecl(HEAPTUPLESIZE + TOAST_TUPLE_THRESHOLD + MAXIMUM_ALIGNOF <= WH_ROW_FORM_BYTES,
				 "room for a tuple that needs no TOAST");

/* Note how the columns of a table are stored; in the current memory context. */
WhRowForm *
wh_row_form_make(TupleDesc tupdesc)
{
	WhRowForm  *form = palloc0(offsetof(WhRowForm, columns) + sizeof(Stored) * tupdesc->natts);

	form->natts = tupdesc->natts;
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);
		Stored	   *column = &form->columns[i];

		column->length = attribute->attlen;
		column->by_value = attribute->attbyval;
		column->may_be_short = attribute->attstorage != TYPSTORAGE_PLAIN;
		column->alignment = attribute->attalign == TYPALIGN_CHAR ? 1 :
			attribute->attalign == TYPALIGN_SHORT ? ALIGNOF_SHORT :
			attribute->attalign == TYPALIGN_INT ? ALIGNOF_INT : ALIGNOF_DOUBLE;
		column->infomask = attribute->attlen == -1 ? HEAP_HASVARWIDTH : 0;
	}
	return form;
}

/* Copy bytes; the few of a number without calling a function. */
static inline void
copy_short(char *to, const char *from, Size len)
{
	if (len >= 4 && len <= 8)
	{
		/* The halves may overlap. */
		uint32		first;
		uint32		last;

		memcpy(&first, from, sizeof(first));
		memcpy(&last, from + len - sizeof(last), sizeof(last));
		memcpy(to, &first, sizeof(first));
		memcpy(to + len - sizeof(last), &last, sizeof(last));
	}
	else
		memcpy(to, from, len);
}

/*
 * Put a value at an offset of the row, aligned, and return the offset after it;
 * 0 when it takes heap_form_tuple.
 */
static inline Size
put_value(char *row, Size offset, const Stored *column, Datum value)
{
	Size		start = TYPEALIGN(column->alignment, offset);
	Size		len;

	if (column->length == -1)
	{
		const struct varlena *data = (const struct varlena *) DatumGetPointer(value);

		if (VARATT_IS_EXTERNAL(data))
			return 0;
		if (VARATT_IS_SHORT(data))
		{
			len = VARSIZE_SHORT(data);
			if (offset + len > TOAST_TUPLE_THRESHOLD)
				return 0;
			copy_short(row + offset, (const char *) data, len);
			return offset + len;
		}
		if (column->may_be_short && VARATT_CAN_MAKE_SHORT(data))
		{
			len = VARATT_CONVERTED_SHORT_SIZE(data);
			if (offset + len > TOAST_TUPLE_THRESHOLD)
				return 0;
			SET_VARSIZE_SHORT(row + offset, len);
			memcpy(row + offset + VARHDRSZ_SHORT, VARDATA(data), len - VARHDRSZ_SHORT);
			return offset + len;
		}
		len = VARSIZE(data);
	}
	else if (column->length > 0)
		len = column->length;
	else
		return 0;
	if (start + len > TOAST_TUPLE_THRESHOLD)
		return 0;
	/* What lies between the values is zero; a fixed length takes one instruction. */
	memset(row + offset, 0, MAXIMUM_ALIGNOF);
	if (!column->by_value)
		memcpy(row + start, DatumGetPointer(value), len);
	else if (len == sizeof(int32))
		*(int32 *) (row + start) = DatumGetInt32(value);
	else if (len == sizeof(int64))
		*(int64 *) (row + start) = DatumGetInt64(value);
	else
		store_att_byval(row + start, value, (int) len);
	return start + len;
}

/*
 * Form a tuple in room, of WH_ROW_FORM_BYTES and aligned: header, bitmap of
 * values that are not NULL, values.  What an insert sets in the header anyway
 * is left as it is.  Returns NULL when it takes heap_form_tuple.
 */
HeapTuple
wh_row_form(const WhRowForm *form, char *room, const Datum *values, const bool *isnull)
{
	HeapTuple	tuple = (HeapTuple) room;
	HeapTupleHeader header = (HeapTupleHeader) (room + HEAPTUPLESIZE);
	bool		has_null = false;
	uint16		infomask;
	Size		offset;

	for (int i = 0; i < form->natts; i++)
		has_null |= isnull[i];
	infomask = has_null ? HEAP_HASNULL : 0;
	offset = MAXALIGN(SizeofHeapTupleHeader + (has_null ? BITMAPLEN(form->natts) : 0));
	header->t_infomask2 = 0;
	HeapTupleHeaderSetNatts(header, form->natts);
	header->t_hoff = (uint8) offset;
	memset(header->t_bits, 0, offset - SizeofHeapTupleHeader);
	/* Offsets count from the data's start, which is aligned like the tuple. */
	for (int i = 0; i < form->natts; i++)
	{
		if (isnull[i])
			continue;
		if (has_null)
			header->t_bits[i >> 3] |= (bits8) (1 << (i & 7));
		infomask |= form->columns[i].infomask;
		offset = put_value((char *) header, offset, &form->columns[i], values[i]);
		if (unlikely(offset == 0))
			return NULL;
	}
	header->t_infomask = infomask;
	tuple->t_len = (uint32) offset;
	ItemPointerSetInvalid(&tuple->t_self);
	tuple->t_tableOid = InvalidOid;
	tuple->t_data = header;
	return tuple;
}
