/* SPDX-License-Identifier: BSD-3-Clause
 * engine_end.c - the end of an engine, in phases
 *
 * Each has a limit: deliver what programs have written, tell the server that an
 * ephemeral node leaves and the gateway that its port is free, see that the
 * state is kept, stop the loop. Of several nodes each goes through them by
 * itself, but for the first phase, which is the host's and so the first's; the
 * loop stops when the last has ended.
 */
#include "core/engine/engine.h"

#include "core/engine/engine_internal.h"

enum {
	DRAIN_MS = 5000,
	/* For peers to answer a FIN: a reset would take from their programs
	 * what those have not read yet. */
	LINGER_MS = 300,
	/* Other processes' connections had this long to end. */
	OTHERS_MS = 1000,
	LOGOUT_MS = 5000,
	UNMAP_MS = 1100, /* the mapper has limits of its own */
	SAVE_MS = 5000,
	DRAIN_POLL_MS = 10,
};

static void end(struct ts_engine *engine)
{
	engine->phase = ENGINE_ENDED;
	for (const struct ts_engine *e = engine->first; e; e = e->next)
		if (e->phase != ENGINE_ENDED)
			return;
	ts_loop_stop(engine->loop);
}

/* Begun before the logout, and seldom not over by now. */
static void start_unmapping(struct ts_engine *engine, uint64_t now_ms)
{
	engine->phase = ENGINE_UNMAPPING;
	engine->phase_end_ms = now_ms + UNMAP_MS;
}

static void start_saving(struct ts_engine *engine, uint64_t now_ms)
{
	engine->phase = ENGINE_SAVING;
	engine->phase_end_ms = now_ms + SAVE_MS;
	state_store_finish(engine->store.kept);
}

static bool logged_out(const struct ts_engine *engine)
{
	return ts_node_state(engine->node) != TS_RUNNING &&
	       ts_node_state(engine->node) != TS_STARTING;
}

static void start_logout(struct ts_engine *engine, uint64_t now_ms)
{
	engine_release_mapper(engine);
	if (!engine->config.ephemeral || !ts_node_netmap(engine->node)->self) {
		start_unmapping(engine, now_ms);
		return;
	}
	engine->phase = ENGINE_LOGGING_OUT;
	engine->phase_end_ms = now_ms + LOGOUT_MS;
	ts_node_logout(engine->node, now_ms);
}

/* All is delivered, and the connections have ended on both sides, or had the
 * time to. */
static bool is_drained(struct ts_engine *engine, uint64_t now_ms)
{
	if (engine->place != TS_ENGINE_ALONE) {
		ts_host_finish(engine->host);
		if (ts_host_serves_others(engine->host) &&
		    now_ms + DRAIN_MS < engine->phase_end_ms + OTHERS_MS)
			return false;
	}
	if (ts_host_undelivered(engine->host) > 0)
		return false;
	if (engine->linger_end_ms == 0)
		engine->linger_end_ms = now_ms + LINGER_MS;
	return !ts_host_is_lingering(engine->host) ||
	       now_ms >= engine->linger_end_ms;
}

/* What programs have written is the host's business, and so the first's. */
static void look_at_drain(struct ts_engine *engine, uint64_t now_ms)
{
	if (engine->phase != ENGINE_DRAINING ||
	    (now_ms < engine->phase_end_ms && !is_drained(engine, now_ms)))
		return;
	for (struct ts_engine *e = engine; e; e = e->next)
		start_logout(e, now_ms);
}

static void on_stop_timer(void *ctx)
{
	struct ts_engine *engine = ctx;
	uint64_t now_ms = ts_loop_now_ms(engine->loop);
	bool late;

	if (engine == engine->first)
		look_at_drain(engine, now_ms);
	late = now_ms >= engine->phase_end_ms;
	if (engine->phase == ENGINE_LOGGING_OUT && (late || logged_out(engine)))
		start_unmapping(engine, now_ms);
	if (engine->phase == ENGINE_UNMAPPING &&
	    (engine_is_unmapped(engine) || now_ms >= engine->phase_end_ms))
		start_saving(engine, now_ms);
	if (engine->phase == ENGINE_SAVING &&
	    (state_store_is_finished(engine->store.kept) ||
	     now_ms >= engine->phase_end_ms))
		end(engine);
	if (engine->phase != ENGINE_ENDED)
		ts_timer_set(engine->stop_timer, now_ms + DRAIN_POLL_MS);
}

static void begin_stop(void *ctx)
{
	struct ts_engine *engine = ctx;

	if (engine->phase != ENGINE_UP)
		return;
	if (engine->place != TS_ENGINE_ALONE)
		ts_host_take_no_more(engine->host);
	for (struct ts_engine *e = engine; e; e = e->next) {
		e->phase = ENGINE_DRAINING;
		e->phase_end_ms = ts_loop_now_ms(e->loop) + DRAIN_MS;
		e->stop_timer = ts_timer_new(e->loop, on_stop_timer, e);
	}
	for (struct ts_engine *e = engine; e; e = e->next) {
		if (e->stop_timer)
			on_stop_timer(e);
		else
			end(e);
	}
}

void ts_engine_stop(struct ts_engine *engine)
{
	if (ts_loop_post(engine->loop, begin_stop, engine))
		ts_loop_stop(engine->loop);
}
