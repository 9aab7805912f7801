/* SPDX-License-Identifier: BSD-3-Clause
 * engine.h - composition root: one or more nodes and one host on one loop
 *
 * Owns the loop, the state directory, the sockets and the LocalAPI; gives
 * the node its I/O and the host its node.
 */
#ifndef CORE_ENGINE_ENGINE_H
#define CORE_ENGINE_ENGINE_H

#include <stdbool.h>

#include "core/host/host.h"
#include "core/loop/loop.h"
#include "core/node/node.h"
#include "core/state/conf_file.h"

struct ts_engine;

enum ts_engine_place {
	TS_ENGINE_ALONE, /* the process is ours */
	TS_ENGINE_OWN_FILES, /* a program's, on a thread with a table of
			      * descriptors of its own (engine_thread.h) */
	TS_ENGINE_SHARES_FILES, /* a program's, its descriptors too */
};

/* Takes config's contents, and those of the configs behind it (several nodes);
 * opens its log, takes the state directory's lock, loads or makes the state,
 * opens sockets and the host; does not wait for the network, but for a state
 * that is in a Kubernetes Secret (bounded). -EWOULDBLOCK: another process hosts
 * this state directory (err names its pid). */
int ts_engine_open(struct ts_engine **out, struct ts_config *config,
		   enum ts_engine_place place, char err[static 256]);
/* Runs the loop on the calling thread until ts_engine_stop(). */
void ts_engine_run(struct ts_engine *engine);
/* Drain (bounded), log out when ephemeral (at most 5 s), stop the loop. Any
 * thread that shares the descriptors of the one that runs it. */
void ts_engine_stop(struct ts_engine *engine);
void ts_engine_close(struct ts_engine *engine);
/* In a forked child, for an engine that shares its descriptors: give up what
 * the parent's engine must own alone (the state directory's lock). The copy is
 * not to be used or closed after. */
void ts_engine_disown(struct ts_engine *engine);
/* Called on the loop's thread at every change of a node's state (error: the
 * server's or our own words, or NULL) and when a person must visit url. */
typedef void (*ts_engine_state_fn)(void *ctx, enum ts_node_state state,
				   const char *error, const char *url);
void ts_engine_watch_state(struct ts_engine *engine, ts_engine_state_fn fn,
			   void *ctx);
/* Names that programs need to find us; the strings are the engine's. */
/* As ts_proxy_open(), with the LocalAPI or without. */
struct ts_proxy_access;
int ts_engine_open_proxy(struct ts_engine *engine, bool with_localapi,
			 struct ts_proxy_access *out);
const char *ts_engine_broker_path(const struct ts_engine *engine);
const char *ts_engine_broker_abstract(const struct ts_engine *engine);
const char *ts_engine_localapi_path(const struct ts_engine *engine);
/* Of several nodes, where an engine is the first of them: the next one; NULL:
 * no more. Only what is said of a node may be asked of the others. */
struct ts_engine *ts_engine_next(const struct ts_engine *engine);
/* The node's section; NULL: none was named. */
const char *ts_engine_name(const struct ts_engine *engine);
struct ts_loop *ts_engine_loop(const struct ts_engine *engine);
struct ts_node *ts_engine_node(const struct ts_engine *engine);
struct ts_host *ts_engine_host(const struct ts_engine *engine);

#endif
