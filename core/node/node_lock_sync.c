/* SPDX-License-Identifier: BSD-3-Clause
 * node_lock_sync.c - how Tailnet Lock's chain follows the control server's
 *
 *	the server has a lock, we have none, or the other way round:
 *		bootstrap: the genesis, or the secret that ends it
 *	our heads differ, or we have just begun:
 *		offer: what we know; the server says what we lack
 *		send: what the server lacks, and where we have got to
 *
 * A round is begun by news in the netmap. One that fails is tried again, ever
 * more rarely; one that ended is not, though the heads may still differ, until
 * the server's is another one.
 * Source: ipn/ipnlocal/tailnet-lock.go (tkaSyncIfNeeded, tkaSyncLocked)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clean_text.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/node/node_internal.h"

enum {
	RPC_TIMEOUT_MS = 60000,
	BOOTSTRAP_REPLY_MAX = 1 << 20,
	SYNC_REPLY_MAX = 10 << 20,
	RETRY_MIN_MS = 1000,
	RETRY_MAX_MS = 300000,
	RETRY_SHIFT_MAX = 9,
	HTTP_OK = 200,
	REFUSAL_SHOWN = 100,
};

static void on_reply(void *ctx, int status, const void *body, size_t len,
		     const char *error);

/* -- rounds --------------------------------------------------------------- */

static void set_step(struct ts_node *node, enum node_lock_step next)
{
	static const char *const names[] = {"idle", "bootstrap", "offer",
					    "send"};

	log_debug("node-%s: Tailnet Lock: %s -> %s", node->prefs.hostname,
		  names[node->lock.step], names[next]);
	node->lock.step = next;
}

static void settle(struct ts_node *node)
{
	if (node->lock.is_settled)
		return;
	node->lock.is_settled = true;
	node_update_state(node);
}

static void end_round(struct ts_node *node)
{
	struct node_lock *lock = &node->lock;

	set_step(node, LOCK_IDLE);
	lock->has_begun = false;
	lock->failures = 0;
	lock->problem[0] = '\0';
	free(lock->done_head);
	lock->done_head = lock->round_head;
	lock->round_head = NULL;
	settle(node);
	node_lock_follow(node); /* what came meanwhile */
}

static void note_round(struct ts_node *node)
{
	const char *head = ts_node_netmap(node)->tka_head;

	free(node->lock.round_head);
	node->lock.round_head = strdup(head ? head : "");
}

/* The reason is in lock->problem. */
static void fail_round(struct ts_node *node)
{
	struct node_lock *lock = &node->lock;
	unsigned shift = lock->failures < RETRY_SHIFT_MAX ? lock->failures
							  : RETRY_SHIFT_MAX;
	uint64_t wait_ms = (uint64_t)RETRY_MIN_MS << shift;

	set_step(node, LOCK_IDLE);
	lock->failures++;
	lock->retry_ms = node->now_ms +
			 (wait_ms < RETRY_MAX_MS ? wait_ms : RETRY_MAX_MS);
	log_warn("node-%s: %s", node->prefs.hostname, lock->problem);
	settle(node);
}

static void fail_with(struct ts_node *node, const char *what, const char *why)
{
	snprintf(node->lock.problem, sizeof(node->lock.problem),
		 "Tailnet Lock: %s: %s", what, why);
	fail_round(node);
}

/* Takes body. */
static void ask(struct ts_node *node, enum node_lock_step step,
		const char *path, char *body)
{
	struct ts_control_ask request = {
		.method = "GET",
		.path = path,
		.body = body,
		.reply_max = step == LOCK_BOOTSTRAP ? BOOTSTRAP_REPLY_MAX
						    : SYNC_REPLY_MAX,
		.timeout_ms = RPC_TIMEOUT_MS,
	};
	int err = body ? 0 : -ENOMEM;

	set_step(node, step);
	if (!err)
		err = ts_control_ask(node->control, &request, on_reply, node,
				      node->now_ms);
	free(body);
	node->lock.is_asking = !err;
	if (err)
		fail_with(node, path, ts_strerror(err));
}

static void start_offer(struct ts_node *node)
{
	ask(node, LOCK_OFFER, "/machine/tka/sync/offer",
	    node_lock_offer_body(node));
}

static bool heads_differ(const struct ts_node *node)
{
	const char *theirs = ts_node_netmap(node)->tka_head;
	char ours[TS_TKA_HASH_TEXT_CAP];
	struct ts_tka_hash head;

	ts_tka_head(node->lock.tka, &head);
	return !theirs || strcmp(theirs, ts_tka_hash_format(&head, ours)) != 0;
}

static bool is_done(const struct ts_node *node)
{
	const char *head = ts_node_netmap(node)->tka_head;

	return node->lock.done_head &&
	       strcmp(node->lock.done_head, head ? head : "") == 0;
}

void node_lock_follow(struct ts_node *node)
{
	struct node_lock *lock = &node->lock;
	bool wanted;

	if (!ts_node_netmap(node)->tka_enabled)
		lock->is_disallowed = false; /* the next one is another one */
	wanted = node_lock_is_wanted(node);
	if (!ts_node_netmap(node)->self || lock->is_asking ||
	    lock->is_damaged || node->now_ms < lock->retry_ms)
		return;
	note_round(node);
	if (wanted != (lock->tka != NULL))
		ask(node, LOCK_BOOTSTRAP, "/machine/tka/bootstrap",
		    node_lock_bootstrap_body(node));
	else if (wanted && (lock->has_begun ||
			    (heads_differ(node) && !is_done(node))))
		start_offer(node);
	else if (!lock->is_settled || *lock->problem)
		end_round(node);
}

uint64_t node_lock_deadline_ms(const struct ts_node *node)
{
	const struct node_lock *lock = &node->lock;

	if (lock->has_unjudged)
		return node->now_ms;
	return !lock->is_asking && lock->failures > 0 ? lock->retry_ms
						      : UINT64_MAX;
}

void node_lock_tick(struct ts_node *node)
{
	if (node->lock.has_unjudged)
		node_lock_judge_rest(node);
	else if (node_lock_deadline_ms(node) <= node->now_ms)
		node_lock_follow(node);
}

/* -- answers -------------------------------------------------------------- */

static void take_bootstrap(struct ts_node *node,
			   const struct node_lock_answer *http)
{
	struct node_lock *lock = &node->lock;
	struct node_lock_bootstrap_reply reply;
	bool wanted = node_lock_is_wanted(node);
	int err = node_lock_read_bootstrap(http->body, http->len, &reply);

	if (err) {
		fail_with(node, "bootstrap", ts_strerror(err));
		return;
	}
	if (wanted == (lock->tka != NULL))
		; /* the server has changed its mind meanwhile */
	else if (wanted)
		err = node_lock_begin(node, reply.genesis, reply.genesis_len);
	else
		err = node_lock_end(node, reply.secret, reply.secret_len);
	node_lock_bootstrap_deinit(&reply);
	if (err) {
		fail_round(node);
		return;
	}
	/* Who has just begun tells so, though the heads be the same. */
	lock->has_begun = lock->tka != NULL;
	if (lock->tka)
		start_offer(node);
	else
		end_round(node);
}

/* What the server lacks is found before its updates are taken: they may lead
 * us to another branch, and ours would be lost. *body: what to send. */
static int take_missing(struct ts_node *node,
			const struct node_lock_offer_reply *reply,
			const char **why, char **body)
{
	struct ts_tka *tka = node->lock.tka;
	const struct ts_tka_aum **lacked;
	size_t count;
	int err = ts_tka_missing(tka, &reply->offer, &lacked, &count);

	*why = err == -ENOENT ? "nothing in common with the server's chain"
			      : NULL;
	if (err)
		return err;
	if (reply->missing_count > 0)
		err = ts_tka_inform(tka, reply->missing, reply->missing_count,
				    node_wall_s(node), why);
	if (!err)
		*body = node_lock_send_body(node, lacked, count, false);
	free(lacked);
	return err;
}

static bool has_our_head(const struct ts_node *node,
			 const struct node_lock_offer_reply *reply)
{
	struct ts_tka_hash head;

	ts_tka_head(node->lock.tka, &head);
	return ts_tka_hash_equal(&head, &reply->offer.head);
}

static void take_offer(struct ts_node *node,
		       const struct node_lock_answer *http)
{
	struct node_lock_offer_reply reply;
	const char *why = NULL;
	char *body = NULL;
	int err = node_lock_read_offer(http->body, http->len, &reply);

	if (err) {
		fail_with(node, "sync/offer", ts_strerror(err));
		return;
	}
	if (has_our_head(node, &reply)) {
		node_lock_offer_deinit(&reply);
		end_round(node);
		return;
	}
	err = take_missing(node, &reply, &why, &body);
	node_lock_offer_deinit(&reply);
	if (err) {
		fail_with(node, "sync", why ? why : ts_strerror(err));
		return;
	}
	node_lock_changed(node);
	ask(node, LOCK_SEND, "/machine/tka/sync/send", body);
}

static void take_sent(struct ts_node *node, const struct node_lock_answer *http)
{
	struct ts_tka_hash ours, theirs;
	int err = node_lock_read_head(http->body, http->len, &theirs);

	if (err) {
		fail_with(node, "sync/send", ts_strerror(err));
		return;
	}
	ts_tka_head(node->lock.tka, &ours);
	if (!ts_tka_hash_equal(&ours, &theirs))
		log_warn("node-%s: Tailnet Lock: the server's chain ends "
			 "elsewhere than ours after all", node->prefs.hostname);
	err = ts_tka_compact(node->lock.tka, node_wall_s(node));
	if (err)
		log_warn("node-%s: Tailnet Lock: old updates stay: %s",
			 node->prefs.hostname, ts_strerror(err));
	end_round(node);
}

static void fail_by_http(struct ts_node *node,
			 const struct node_lock_answer *reply)
{
	size_t len = reply->len < REFUSAL_SHOWN ? reply->len : REFUSAL_SHOWN;
	char text[REFUSAL_SHOWN + 32];

	snprintf(text, sizeof(text), "http %d: %.*s", reply->status, (int)len,
		 reply->body);
	ts_clean_text(text, ' ');
	fail_with(node, "the control server", text);
}

static void on_reply(void *ctx, int status, const void *body, size_t len,
		     const char *error)
{
	const struct node_lock_answer answer = {error, status, body, len};
	const struct node_lock_answer *reply = &answer;
	struct ts_node *node = ctx;
	struct node_lock *lock = &node->lock;
	enum node_lock_step step = lock->step;
	bool is_stale = lock->is_stale;

	lock->is_asking = lock->is_stale = false;
	if (lock->is_closing)
		return;
	if (is_stale)
		node_lock_follow(node);
	else if (reply->error)
		fail_with(node, "the control server", reply->error);
	else if (reply->status != HTTP_OK)
		fail_by_http(node, reply);
	else if (step == LOCK_BOOTSTRAP)
		take_bootstrap(node, reply);
	else if (!lock->tka)
		end_round(node); /* it ended meanwhile */
	else if (step == LOCK_OFFER)
		take_offer(node, reply);
	else
		take_sent(node, reply);
}
