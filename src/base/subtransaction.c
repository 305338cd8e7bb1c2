/*
 * subtransaction.c
 *	  A piece of work that may fail without the rest.
 *
 * An error is never caught but by rolling back the subtransaction in which it
 * was raised.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/subtransaction.h"

/*
 * Do a piece of work in a subtransaction.  Gives the error, copied into the
 * current memory context, or NULL.  Shutdown is not caught; a cancellation is,
 * for the caller to log it and throw it again.  With undo, the work is rolled
 * back also when it succeeds.
 */
ErrorData *
wh_subtransaction(void (*work) (void *), void *arg, bool undo)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
		if (undo)
			RollbackAndReleaseCurrentSubTransaction();
		else
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		/* the session would be left inside the subtransaction */
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
			ReThrowError(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}
