/* SPDX-License-Identifier: BSD-3-Clause
 * stack_reorder.c - segments that came too early, and what SACK says of them
 * Source: RFC 2018, RFC 2883
 *
 * lwIP would walk a list of all of them for each that comes, and with a
 * megabyte behind one lost segment that is where its time goes. Here they are
 * kept as ranges without gaps, of which there are about as many as losses in a
 * round trip; a segment goes to the end of one, mostly. lwIP gets to see them
 * when their turn has come. It trims what overlaps.
 *
 * The ranges are what SACK reports, those that grew most recently first; before
 * them, once, a segment that was there already (DSACK).
 */
#include "netstack/stack_private.h"

#include <stdlib.h>

enum {
	RANGES_MAX = 256,
	SEGMENT_COST = 256, /* bytes of memory beyond its payload, about */
	TOTAL_MAX = 256 * 1024 * 1024,
};

struct held_segment {
	struct held_segment *next;
	struct pbuf *p;
	uint32_t seq, end;
};

struct held_range {
	struct held_range *next; /* by sequence number */
	struct held_segment *first, *last;
	uint32_t left, right;
	uint32_t stamp; /* when it grew last */
};

/* -- segments ------------------------------------------------------------- */
static size_t cost_of(const struct held_segment *seg)
{
	return seg->end - seg->seq + SEGMENT_COST;
}

static void charge(struct stack_tcp *t, const struct held_segment *seg)
{
	t->held_bytes += cost_of(seg);
	t->s->held_bytes += cost_of(seg);
}

static struct pbuf *segment_free(struct stack_tcp *t, struct held_segment *seg)
{
	struct pbuf *p = seg->p;

	t->held_bytes -= cost_of(seg);
	t->s->held_bytes -= cost_of(seg);
	free(seg);
	return p;
}

static struct held_segment *segment_new(const struct stack_segment *in,
					const struct stack_dgram *d)
{
	struct held_segment *seg = malloc(sizeof(*seg));

	if (!seg)
		return NULL;
	seg->next = NULL;
	seg->seq = in->seq;
	seg->end = in->seq + stack_segment_len(in);
	seg->p = stack_rx_pbuf(d->data, d->len);
	if (!seg->p) {
		free(seg);
		return NULL;
	}
	return seg;
}

/* -- ranges --------------------------------------------------------------- */
static void range_drop_first(struct stack_tcp *t)
{
	struct held_range *r = t->held;

	t->held = r->next;
	t->held_ranges--;
	free(r);
}

/* r now reaches what comes after it. */
static void join_next(struct stack_tcp *t, struct held_range *r)
{
	while (r->next && !tcp_after(r->next->left, r->right)) {
		struct held_range *next = r->next;

		r->last->next = next->first;
		r->last = next->last;
		if (tcp_after(next->right, r->right))
			r->right = next->right;
		r->next = next->next;
		t->held_ranges--;
		free(next);
	}
}

static bool range_insert(struct stack_tcp *t, struct held_range **at,
			 struct held_segment *seg)
{
	struct held_range *r;

	if (t->held_ranges >= RANGES_MAX)
		return false;
	r = malloc(sizeof(*r));
	if (!r)
		return false;
	*r = (struct held_range){
		.next = *at,
		.first = seg,
		.last = seg,
		.left = seg->seq,
		.right = seg->end,
		.stamp = ++t->held_stamp,
	};
	*at = r;
	t->held_ranges++;
	return true;
}

static void range_extend(struct stack_tcp *t, struct held_range *r,
			 struct held_segment *seg)
{
	if (tcp_after(r->left, seg->seq)) {
		seg->next = r->first;
		r->first = seg;
		r->left = seg->seq;
	} else {
		r->last->next = seg;
		r->last = seg;
	}
	if (tcp_after(seg->end, r->right))
		r->right = seg->end;
	r->stamp = ++t->held_stamp;
	join_next(t, r);
}

/* The range that the segment touches, or the place of a new one. */
static struct held_range **find(struct stack_tcp *t, uint32_t seq)
{
	struct held_range **at = &t->held;

	while (*at && tcp_after(seq, (*at)->right))
		at = &(*at)->next;
	return at;
}

static bool touches(const struct held_range *r, const struct held_segment *seg)
{
	return !tcp_after(r->left, seg->end);
}

static bool has_all(const struct held_range *r, uint32_t seq, uint32_t end)
{
	return !tcp_after(r->left, seq) && !tcp_after(end, r->right);
}

void stack_reorder_duplicate(struct stack_tcp *t, uint32_t seq, uint32_t end)
{
	t->dsack = (struct tcp_range){seq, end};
}

void stack_reorder_hold(struct stack_tcp *t, const struct stack_segment *in,
			const struct stack_dgram *d)
{
	struct held_range **at = find(t, in->seq);
	uint32_t end = in->seq + stack_segment_len(in);
	struct held_segment *seg;

	if (*at && has_all(*at, in->seq, end)) {
		stack_reorder_duplicate(t, in->seq, end);
		return;
	}
	if (t->held_bytes > 2 * t->rx_limit || t->s->held_bytes > TOTAL_MAX)
		return;
	seg = segment_new(in, d);
	if (!seg)
		return;
	charge(t, seg);
	if (*at && touches(*at, seg))
		range_extend(t, *at, seg);
	else if (!range_insert(t, at, seg))
		pbuf_free(segment_free(t, seg));
}

struct pbuf *stack_reorder_next(struct stack_tcp *t, uint32_t rcv_nxt)
{
	while (t->held && !tcp_after(t->held->left, rcv_nxt)) {
		struct held_range *r = t->held;
		struct held_segment *seg = r->first;
		bool is_old = !tcp_after(seg->end, rcv_nxt);
		struct pbuf *p;

		r->first = seg->next;
		p = segment_free(t, seg);
		if (!r->first)
			range_drop_first(t);
		if (!is_old)
			return p;
		pbuf_free(p);
	}
	return NULL;
}

void stack_reorder_free(struct stack_tcp *t)
{
	while (t->held) {
		struct held_segment *seg = t->held->first;

		t->held->first = seg->next;
		pbuf_free(segment_free(t, seg));
		if (!t->held->first)
			range_drop_first(t);
	}
}

/* -- SACK ----------------------------------------------------------------- */
static const struct held_range *newest_before(const struct stack_tcp *t,
					      const struct held_range *than)
{
	const struct held_range *best = NULL;

	for (const struct held_range *r = t->held; r; r = r->next)
		if ((!than || r->stamp < than->stamp) &&
		    (!best || r->stamp > best->stamp))
			best = r;
	return best;
}

bool stack_reorder_has_news(const struct stack_tcp *t)
{
	return t->held || t->dsack.left != t->dsack.right;
}

unsigned stack_reorder_sacks(struct stack_tcp *t,
			     struct tcp_range out[static TCP_SACKS_MAX])
{
	const struct held_range *r = NULL;
	unsigned n = 0;

	if (!(t->pcb->flags & TF_SACK))
		return 0;
	if (t->dsack.left != t->dsack.right)
		out[n++] = t->dsack;
	t->dsack = (struct tcp_range){0};
	while (n < TCP_SACKS_MAX && (r = newest_before(t, r)))
		out[n++] = (struct tcp_range){r->left, r->right};
	return n;
}
