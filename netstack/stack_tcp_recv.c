/* SPDX-License-Identifier: BSD-3-Clause
 * stack_tcp_recv.c - received bytes until their owner takes them; the window
 *
 * Segments are queued as lwIP hands them over, without a copy. Small ones that
 * pile up are packed together, so that memory stays in proportion to bytes.
 * Packets whose place lasts for a while are not even copied when they come
 * (rx_borrowed): mostly their owner has read them before it is used again, and
 * only what he has not is copied then.
 *
 * The offered window starts at 256 KB and doubles, up to 16 MB, each time that
 * the owner has consumed a whole one and keeps up: what it does not read is
 * what costs memory, so a large window of one who reads is free, and a
 * connection that nobody reads costs 256 KB. That needs no estimate of rate and
 * round trip, and follows a path that gets longer. Growth stops while the stack
 * holds GROW_MAX unread bytes, and over HARD_MAX segments for connections that
 * lag are dropped; the peers send those again.
 */
#include "netstack/stack_private.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	GROW_MAX = 64 * 1024 * 1024,
	HARD_MAX = 256 * 1024 * 1024,
	LAGGING = 16 * 1024,
	PACK_BELOW = 512, /* segments shorter than this are packed */
	PACK_SIZE = 4096,
	UPDATE_MAX = 64 * 1024, /* tell the peer at the latest after this */
};

/* -- buffers for lwIP ----------------------------------------------------- */
struct rx_buf {
	struct pbuf_custom custom; /* first: lwIP frees by its address */
	uint8_t data[];
};

static void free_buf(struct pbuf *p)
{
	stack_pool_give(p);
}

struct pbuf *stack_rx_pbuf(const uint8_t *segment, size_t len)
{
	struct rx_buf *buf;

	if (len > UINT16_MAX)
		return NULL;
	buf = stack_pool_take(sizeof(*buf) + len);
	if (!buf)
		return NULL;
	memset(&buf->custom, 0, sizeof(buf->custom));
	buf->custom.custom_free_function = free_buf;
	memcpy(buf->data, segment, len);
	return pbuf_alloced_custom(PBUF_RAW, (uint16_t)len, PBUF_REF,
				   &buf->custom, buf->data, (uint16_t)len);
}

/* -- packets that are not ours -------------------------------------------- */
struct rx_borrowed {
	struct pbuf_custom custom; /* first: lwIP frees by its address */
	struct stack *s;
	struct stack_tcp *t; /* in whose queue it is; NULL: in none */
	struct rx_borrowed *prev, *next; /* s->borrowed */
	uint8_t *copy; /* NULL: it is still where it came */
};

static void give_back(struct rx_borrowed *b)
{
	if (b->prev)
		b->prev->next = b->next;
	else
		b->s->borrowed = b->next;
	if (b->next)
		b->next->prev = b->prev;
}

static void free_borrowed(struct pbuf *p)
{
	struct rx_borrowed *b = (struct rx_borrowed *)p;

	if (b->copy)
		stack_pool_give(b->copy);
	else
		give_back(b);
	free(b);
}

/* lwIP turns the bytes of a header in place. */
static struct pbuf *borrow(struct stack *s, uint8_t *segment, size_t len)
{
	struct rx_borrowed *b = malloc(sizeof(*b));

	if (!b)
		return NULL;
	*b = (struct rx_borrowed){.s = s, .next = s->borrowed};
	b->custom.custom_free_function = free_borrowed;
	if (b->next)
		b->next->prev = b;
	s->borrowed = b;
	return pbuf_alloced_custom(PBUF_RAW, (uint16_t)len, PBUF_REF,
				   &b->custom, segment, (uint16_t)len);
}

struct pbuf *stack_rx_pbuf_of(struct stack *s, const struct stack_dgram *d)
{
	uintptr_t at = (uintptr_t)d->data - (uintptr_t)s->staying;

	/* What was put together of fragments is elsewhere. */
	if (!s->staying || d->len < PACK_BELOW || at > d->packet_len ||
	    d->len > d->packet_len - at)
		return stack_rx_pbuf(d->data, d->len);
	return borrow(s, s->staying + at, d->len);
}

static void note_owner(struct pbuf *p, struct stack_tcp *t)
{
	struct rx_borrowed *b = (struct rx_borrowed *)p;

	if ((p->flags & PBUF_FLAG_IS_CUSTOM) &&
	    b->custom.custom_free_function == free_borrowed)
		b->t = t;
}

/* Bytes that were acknowledged are lost: so is the connection. */
static void fail_for_memory(struct stack_tcp *t)
{
	stack_rx_free(t);
	stack_tcp_kill(t, true);
	if (t->is_orphan)
		stack_tcp_free(t);
	else
		stack_tcp_over(t, -ENOMEM);
}

void stack_release(struct stack *s)
{
	while (s->borrowed) {
		struct rx_borrowed *b = s->borrowed;
		struct pbuf *p = &b->custom.pbuf;
		uint8_t *copy = stack_pool_take(p->len);

		if (copy) {
			memcpy(copy, p->payload, p->len);
			p->payload = copy;
			give_back(b);
			b->copy = copy;
		} else {
			fail_for_memory(b->t);
		}
	}
	stack_tell_owners(s);
}

/* -- the queue ------------------------------------------------------------ */
static void push_back(struct stack_tcp *t, struct pbuf *p, size_t tail_room)
{
	if (t->rx_tail)
		t->rx_tail->next = p;
	else
		t->rx_head = p;
	t->rx_tail = p;
	t->rx_tail_room = tail_room;
}

static bool pack(struct stack_tcp *t, const struct pbuf *p)
{
	if (p->len > t->rx_tail_room) {
		struct pbuf *big = pbuf_alloc(PBUF_RAW, PACK_SIZE, PBUF_RAM);

		if (!big)
			return false;
		big->len = 0;
		push_back(t, big, PACK_SIZE);
	}
	memcpy((uint8_t *)t->rx_tail->payload + t->rx_tail->len, p->payload,
	       p->len);
	t->rx_tail->len = (uint16_t)(t->rx_tail->len + p->len);
	t->rx_tail_room -= p->len;
	return true;
}

static void append_one(struct stack_tcp *t, struct pbuf *p)
{
	size_t len = p->len;

	t->rx_len += len;
	t->s->rx_bytes += len;
	if (len == 0 || (t->rx_head && len < PACK_BELOW && pack(t, p))) {
		pbuf_free(p);
	} else {
		note_owner(p, t);
		push_back(t, p, 0);
	}
}

/* A chain is taken apart: its links would be reference-counted as one. */
void stack_rx_append(struct stack_tcp *t, struct pbuf *p)
{
	while (p) {
		struct pbuf *next = p->next;

		p->next = NULL;
		append_one(t, p);
		p = next;
	}
}

static void pop_front(struct stack_tcp *t)
{
	struct pbuf *p = t->rx_head;

	t->rx_head = p->next;
	if (!t->rx_head) {
		t->rx_tail = NULL;
		t->rx_tail_room = 0;
	}
	t->rx_off = 0;
	p->next = NULL;
	pbuf_free(p);
}

void stack_rx_free(struct stack_tcp *t)
{
	while (t->rx_head)
		pop_front(t);
	t->s->rx_bytes -= t->rx_len;
	t->rx_len = 0;
}

int stack_tcp_read_view(struct stack_tcp *t, struct iovec *iov, int iov_cap)
{
	size_t off = t->rx_off;
	int n = 0;

	for (struct pbuf *p = t->rx_head; p && n < iov_cap; p = p->next) {
		iov[n].iov_base = (uint8_t *)p->payload + off;
		iov[n].iov_len = p->len - off;
		off = 0;
		n++;
	}
	if (n == 0 && t->got_eof) {
		if (!t->saw_eof && !t->pcb)
			stack_tcp_event(t, EVENT_GONE);
		t->saw_eof = true;
		return -EPIPE;
	}
	return n;
}

/* -- the window ----------------------------------------------------------- */
static size_t window_max(const struct stack_tcp *t)
{
	size_t max = TCP_WND_MAX(t->pcb);

	return t->rx_limit < max ? t->rx_limit : max;
}

void stack_rx_first_window(struct stack_tcp *t)
{
	t->pcb->rcv_wnd = (tcpwnd_size_t)window_max(t);
	t->pcb->rcv_ann_wnd = t->pcb->rcv_wnd;
}

bool stack_rx_is_full(const struct stack *s, const struct stack_tcp *t)
{
	return s->rx_bytes > HARD_MAX && t->rx_len > LAGGING;
}

static void maybe_grow(struct stack_tcp *t, size_t len)
{
	t->rx_consumed += len;
	if (t->rx_consumed < t->rx_limit)
		return;
	t->rx_consumed = 0;
	if (t->rx_limit < TCP_WND && t->rx_len < t->rx_limit / 2 &&
	    t->s->rx_bytes < GROW_MAX)
		t->rx_limit *= 2;
}

static void offer_window(struct stack_tcp *t)
{
	size_t max = window_max(t);
	size_t open = max > t->rx_len ? max - t->rx_len : 0;
	size_t step = max / 4 < UPDATE_MAX ? max / 4 : UPDATE_MAX;

	if (open <= t->pcb->rcv_wnd)
		return;
	t->pcb->rcv_wnd = (tcpwnd_size_t)open;
	if (tcp_update_rcv_ann_wnd(t->pcb) < step)
		return;
	stack_tcp_enter(t);
	t->wants_ack = true;
	stack_send(t);
	stack_tcp_leave(t);
}

void stack_tcp_consume(struct stack_tcp *t, size_t len)
{
	size_t left = len < t->rx_len ? len : t->rx_len;

	len = left;
	t->rx_len -= left;
	t->s->rx_bytes -= left;
	while (left > 0) {
		size_t n = t->rx_head->len - t->rx_off;

		if (left < n) {
			t->rx_off += left;
			break;
		}
		left -= n;
		pop_front(t);
	}
	maybe_grow(t, len);
	if (t->pcb && t->is_up && !t->got_eof)
		offer_window(t);
}
