/*
 * compat.h
 *	  Differences between the PostgreSQL versions this extension supports.
 *
 * The Makefile includes it before every file.  The only file that looks at PG_VERSION_NUM.  Each entry names the upstream
 * change that makes it necessary.
 */
#ifndef WH_COMPAT_H
#define WH_COMPAT_H

#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "utils/acl.h"

#if PG_VERSION_NUM < 150000
#error "widgets_wh needs PostgreSQL 15 or later"
#endif

/* 16 added soft input errors (InputFunctionCallSafe, ErrorSaveContext). */
#if PG_VERSION_NUM >= 160000
#define WH_HAVE_SOFT_ERRORS 1
#endif

/* 16 moved per-relation permissions from RangeTblEntry to RTEPermissionInfo. */
#if PG_VERSION_NUM >= 160000
#define WH_HAVE_PERMINFO 1
#define WH_RTE_CLEAR_PERMISSIONS(rte) ((rte)->perminfoindex = 0)
#else
#define WH_RTE_CLEAR_PERMISSIONS(rte) \
	((rte)->requiredPerms = 0, (rte)->selectedCols = NULL, (rte)->extraUpdatedCols = NULL)
#endif

/*
 * 16 lets updates touch summarizing indexes only (TU_UpdateIndexes) and tells
 * ExecInsertIndexTuples so by one more argument.
 */
#if PG_VERSION_NUM >= 160000
#define WhUpdateIndexes TU_UpdateIndexes
#define wh_must_update_indexes(u) ((u) != TU_None)
#define WH_NOT_ONLY_SUMMARIZING , false
#define wh_only_summarizing(u) ((u) == TU_Summarizing)
#define WH_SUMMARIZING(only) , only
#else
#define WhUpdateIndexes bool
#define wh_must_update_indexes(u) (u)
#define WH_NOT_ONLY_SUMMARIZING
#define wh_only_summarizing(u) false
#define WH_SUMMARIZING(only)
#endif

/* 16 folded pg_class_ownercheck and its like into object_ownercheck. */
#if PG_VERSION_NUM >= 160000
#define wh_class_ownercheck(relid, role) object_ownercheck(RelationRelationId, relid, role)
#define wh_schema_aclcheck(nspid, role, mode) object_aclcheck(NamespaceRelationId, nspid, role, mode)
#define wh_server_aclcheck(server, role, mode) object_aclcheck(ForeignServerRelationId, server, role, mode)
#else
#define wh_class_ownercheck(relid, role) pg_class_ownercheck(relid, role)
#define wh_schema_aclcheck(nspid, role, mode) pg_namespace_aclcheck(nspid, role, mode)
#define wh_server_aclcheck(server, role, mode) pg_foreign_server_aclcheck(server, role, mode)
#endif

/* 18 gave index_beginscan an argument for instrumentation. */
#if PG_VERSION_NUM >= 180000
#define wh_index_beginscan(rel, index, snapshot, nkeys) \
	index_beginscan(rel, index, snapshot, NULL, nkeys, 0)
#else
#define wh_index_beginscan(rel, index, snapshot, nkeys) \
	index_beginscan(rel, index, snapshot, nkeys, 0)
#endif

/* 16 gave flatten_join_alias_vars the planner's root, NULL outside of planning. */
#if PG_VERSION_NUM >= 160000
#define wh_flatten_join_alias_vars(query, node) flatten_join_alias_vars(NULL, (query), (node))
#else
#define wh_flatten_join_alias_vars(query, node) flatten_join_alias_vars((query), (node))
#endif

/* 18 refers to grouping expressions through a range table entry of its own. */
#if PG_VERSION_NUM >= 180000
#define WH_HAVE_RTE_GROUP 1
#endif

/* 18 moved the functions that print properties out of commands/explain.h. */
#if PG_VERSION_NUM >= 180000
#define WH_EXPLAIN_FORMAT_H "commands/explain_format.h"
#else
#define WH_EXPLAIN_FORMAT_H "commands/explain.h"
#endif

/* 18 tells vacuum_delay_point whether it is ANALYZE that waits. */
#if PG_VERSION_NUM >= 180000
#define wh_analyze_delay_point() vacuum_delay_point(true)
#else
#define wh_analyze_delay_point() vacuum_delay_point()
#endif

/* With it, 16 moved the user to check a foreign scan or modification as. */
#ifdef WH_HAVE_PERMINFO
#define WH_SCAN_USER(node) ((ForeignScan *) (node)->ss.ps.plan)->checkAsUser
#define WH_RESULT_REL_USER(rinfo, estate) ExecGetResultRelCheckAsUser(rinfo, estate)
#else
#define WH_SCAN_USER(node) \
	exec_rt_fetch(((Scan *) (node)->ss.ps.plan)->scanrelid, (node)->ss.ps.state)->checkAsUser
#define WH_RESULT_REL_USER(rinfo, estate) \
	(exec_rt_fetch((rinfo)->ri_RangeTableIndex, estate)->checkAsUser ? \
	 exec_rt_fetch((rinfo)->ri_RangeTableIndex, estate)->checkAsUser : GetUserId())
#endif

/* 17 added fdw_restrictinfo, 18 disabled_nodes. */
#if PG_VERSION_NUM >= 180000
#define WH_FOREIGN_PATH(root, rel, rows, startup, total, outer) \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, NIL, outer, NULL, NIL, NIL)
#elif PG_VERSION_NUM >= 170000
#define WH_FOREIGN_PATH(root, rel, rows, startup, total, outer) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, outer, NULL, NIL, NIL)
#else
#define WH_FOREIGN_PATH(root, rel, rows, startup, total, outer) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, outer, NULL, NIL)
#endif

/* 18 gave PG_MODULE_MAGIC a version with name and version. */
#if PG_VERSION_NUM >= 180000
#define WH_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "widgets_wh", .version = WH_VERSION)
#else
#define WH_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* 16 renamed what locates a relation's file. */
#if PG_VERSION_NUM >= 160000
#define wh_relation_locator(relation) (&(relation)->rd_locator)
#else
#define wh_relation_locator(relation) (&(relation)->rd_node)
#endif

/* 18 returns a relation's path by value. */
#if PG_VERSION_NUM >= 180000
#define wh_relation_path(relation) pstrdup(relpathperm(*wh_relation_locator(relation), MAIN_FORKNUM).str)
#else
#define wh_relation_path(relation) relpathperm(*wh_relation_locator(relation), MAIN_FORKNUM)
#endif

/* 17 passes the statement to reindex_relation. */
#if PG_VERSION_NUM >= 170000
#define wh_reindex_relation(relid) \
	reindex_relation(NULL, relid, REINDEX_REL_CHECK_CONSTRAINTS, &(ReindexParams) {0})
#else
#define wh_reindex_relation(relid) \
	reindex_relation(relid, REINDEX_REL_CHECK_CONSTRAINTS, &(ReindexParams) {0})
#endif

/* 16 moved what looks into varlenas out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16 lets stringToQualifiedNameList report softly. */
#if PG_VERSION_NUM >= 160000
#define wh_string_to_names(text) stringToQualifiedNameList((text), NULL)
#else
#define wh_string_to_names(text) stringToQualifiedNameList(text)
#endif

/* 17 makes a resource owner, not a memory context, the keeper of a wait event set. */
#if PG_VERSION_NUM >= 170000
#define wh_create_wait_event_set(context, n) CreateWaitEventSet(CurrentResourceOwner, n)
#else
#define wh_create_wait_event_set(context, n) CreateWaitEventSet(context, n)
#endif

/* 17 makes the names of wait events from a list. */
#if PG_VERSION_NUM >= 170000
#define WH_WAIT_EVENT_MESSAGE WAIT_EVENT_MESSAGE_QUEUE_RECEIVE
#else
#define WH_WAIT_EVENT_MESSAGE WAIT_EVENT_MQ_RECEIVE
#endif

/* 18 decodes base64 into unsigned bytes. */
#if PG_VERSION_NUM >= 180000
#define wh_b64_decode(src, len, dst, dstlen) pg_b64_decode(src, len, (uint8 *) (dst), dstlen)
#else
#define wh_b64_decode(src, len, dst, dstlen) pg_b64_decode(src, len, dst, dstlen)
#endif

/* 18 wants pg_noreturn before the declaration, and has no pg_attribute_noreturn(). */
#if PG_VERSION_NUM >= 180000
#define WH_NORETURN pg_noreturn
#ifndef pg_attribute_noreturn
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif
#else
#define WH_NORETURN pg_attribute_noreturn()
#endif

/* 18 moved ExplainState out of commands/explain.h. */
#if PG_VERSION_NUM >= 180000
#define WH_EXPLAIN_STATE_H "commands/explain_state.h"
#else
#define WH_EXPLAIN_STATE_H "commands/explain.h"
#endif

#endif							/* WH_COMPAT_H */
