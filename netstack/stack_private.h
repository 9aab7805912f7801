/* SPDX-License-Identifier: BSD-3-Clause
 * stack_private.h - what the files of netstack/ share; nobody else includes it
 *
 * lwIP keeps every connection of the process on global lists that it walks for
 * each segment and each timer tick. Here those lists are empty between calls:
 * a connection is found by the hash of its stack (`flows`), lent to lwIP for
 * the duration of one call (stack_tcp_enter, stack_tcp_leave) and its timers
 * are worked out afterwards into one heap. So stacks cannot mix, 10,000 idle
 * connections cost nothing, and lwIP never calls an owner: its callbacks only
 * note events, which are delivered when lwIP has returned.
 */
#ifndef NETSTACK_STACK_PRIVATE_H
#define NETSTACK_STACK_PRIVATE_H

#include "core/base/flood.h"
#include "core/base/key_map.h"
#include "core/base/log.h"
#include "core/base/second_quota.h"
#include "core/base/wire.h"
#include "netstack/stack.h"
#include "netstack/tcp_isn.h"
#include "netstack/tcp_sender.h"

#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>

enum {
	STACK_MTU_MAX = TS_INNER_MTU_MAX,
	STACK_FLOW_KEY_LEN = 2 * TS_IP_LEN + 2 * sizeof(uint16_t),
	STACK_TICK_MS = 2 * TCP_TMR_INTERVAL, /* lwIP's slow tick */
	/* Connections from others that are not up yet, and one peer's of them:
	 * as many as a peer that means well may begin in a round trip. */
	STACK_HALF_OPEN_MAX = 4096,
	STACK_HALF_OPEN_EACH = 1024,
	STACK_SYN_FLOOD_PER_S = 100, /* so many refused are worth a line */
	STACK_ECHO_PER_S = 1000,     /* answered, of one share */
	STACK_ECHO_SHARES = 64,
	STACK_SYN_WAIT_MS = 30000,
	STACK_TIME_WAIT_MAX = 32768,
	STACK_TIME_WAIT_MS = 2 * TCP_MSL,
	STACK_FRAG_MAX = 32,	   /* datagrams being put together */
	STACK_FRAG_PEER_MAX = 8,   /* of them from one source */
	STACK_FRAG_WAIT_MS = 15000,
	STACK_LOOP_MAX = 4096,	   /* packets on their way to ourselves */
	STACK_ICMP_ERRORS_PER_S = 100,
	STACK_QUOTE_MAX = 1232, /* of the packet that an ICMP error is about */
	STACK_EPHEMERAL_FIRST = 16384,
	STACK_EPHEMERAL_COUNT = 65536 - STACK_EPHEMERAL_FIRST,
};
#define STACK_NEVER UINT64_MAX

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMPV6 = 58 };
enum { TCP_CHECKSUM_AT = 16 };

/* One inbound datagram, headers taken off. */
struct stack_dgram {
	struct ts_ip src, dst;
	uint8_t proto;
	const uint8_t *data;
	size_t len;
	/* the packet as it came, for ICMP errors; may be cut short */
	const uint8_t *packet;
	size_t packet_len;
};

/* A TCP segment's header, checked. */
struct stack_segment {
	struct ts_addr local, remote;
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags;
	size_t header_len, data_len;
	unsigned sack_count;
	struct tcp_range sacks[TCP_SACKS_MAX];
};

/* What a key of `flows` stands for; the first member of each kind. */
enum flow_kind { FLOW_TCP, FLOW_SYN, FLOW_TIME_WAIT };
struct flow {
	enum flow_kind kind;
};

enum tcp_event {
	EVENT_CONNECTED = 1 << 0,
	EVENT_READABLE = 1 << 1,
	EVENT_WRITABLE = 1 << 2,
	EVENT_GONE = 1 << 3,
};

struct stack_tcp {
	struct flow flow;
	struct stack *s;
	struct tcp_pcb *pcb; /* NULL: lwIP is done with it */
	const struct stack_tcp_ops *ops;
	void *user;
	struct ts_addr local, remote;
	struct stack_tcp *prev, *next;	     /* s->conns */
	struct stack_tcp *ev_prev, *ev_next; /* s->events */
	unsigned events;		     /* enum tcp_event, not yet told */
	int gone_err;
	bool is_queued; /* on s->events */
	bool is_dialled, is_up, is_orphan, wants_room, write_is_shut;
	bool got_eof, saw_eof; /* FIN arrived; owner was told */
	struct stack_source *source; /* whose share it is of, until it is up */

	/* stack_send.c */
	struct tcp_sender sender;
	const struct cc_ops *cc; /* NULL: the stack's */
	bool is_sending;	 /* sender has begun, lwIP sends nothing */
	bool wants_ack;		 /* with the next stack_send() */
	uint8_t unacked_segments; /* received since our last ACK */
	uint8_t persist_backoff; /* 0: no window probes */
	uint32_t small_end;	 /* of the last segment that was not full */
	struct tcp_seg *unsent_last; /* NULL: not known */
	uint64_t handshake_from_us;  /* our SYN, or the answer to theirs */
	uint64_t challenge_due_ms;   /* none before that */

	/* stack_reorder.c */
	struct held_range *held; /* by sequence number */
	size_t held_bytes;
	unsigned held_ranges;
	uint32_t held_stamp;
	struct tcp_range dsack; /* to be told; empty: nothing */

	/* stack_options.c */
	uint32_t user_timeout_ms;
	uint16_t mss_limit;
	uint16_t peer_mss; /* what its SYN offered; 0: not up yet */
	struct stack_mtu mtu;
	bool was_up, keeps_alive;
	uint8_t seen_retransmits; /* of a SYN */
	uint32_t seen_acked, seen_received;
	size_t seen_queued; /* in s->tx_bytes */
	uint64_t stalled_from_ms; /* 0: nothing waits for an ACK */
	uint32_t syn_retransmits;
	uint64_t bytes_acked, bytes_received;

	/* bytes that the owner has not consumed: stack_tcp_recv.c */
	struct pbuf *rx_head, *rx_tail;
	size_t rx_off;	     /* consumed part of rx_head */
	size_t rx_len;	     /* all unread bytes */
	size_t rx_tail_room; /* free bytes behind rx_tail's payload */
	size_t rx_limit;     /* window that we are willing to offer */
	size_t rx_consumed;  /* since rx_limit grew last */

	/* timers: stack_timer.c */
	unsigned timeouts;	  /* of a SYN: each doubles the next wait */
	uint32_t last_tick;	  /* pcb->rtime is true as of this tick */
	uint64_t persist_from_ms; /* the last window probe */
	unsigned orphan_probes;	  /* of a closed window, since its owner left */
	uint64_t ack_due_ms;	  /* 0: no ACK is being delayed */
	uint64_t due_ms;	  /* heap key */
	size_t heap_pos;	  /* 1-based; 0: not in the heap */
};

/* An inbound SYN that waits for its owner's decision. */
struct stack_syn {
	struct flow flow;
	struct stack *s;
	struct ts_addr local, remote;
	struct stack_source *source;   /* whose share it is of */
	struct stack_syn *prev, *next; /* oldest first */
	uint64_t expires_ms;
	uint32_t rst_ack; /* what a refusal acknowledges */
	uint8_t segment[60]; /* header and options, no payload */
	size_t segment_len;
};

struct stack_tw {
	struct flow flow;
	struct ts_addr local, remote;
	struct stack_tw *prev, *next; /* oldest first */
	uint64_t expires_ms;
	uint32_t snd_nxt, rcv_nxt;
};

struct stack_udp {
	struct stack *s;
	struct ts_addr local; /* ip :: for both families */
	stack_udp_fn fn;
	stack_udp_error_fn error_fn;
	void *user;
	struct stack_udp *next_same_port;
	struct stack_udp *prev, *next; /* s->udps */
};

struct stack_echo {
	struct stack *s;
	uint16_t id;
	stack_echo_fn fn;
	stack_echo_error_fn error_fn;
	void *user;
};

struct stack_frag; /* stack_frag.c */
struct stack_source; /* stack_source.c */
struct loop_packet; /* stack_loop.c */
struct held_range; /* stack_reorder.c */
struct rx_borrowed; /* stack_tcp_recv.c */

struct stack {
	struct stack_ops ops;
	void *ctx;
	struct netif netif;
	struct ts_ip v4, v6;
	uint64_t now_ms, now_us;
	const struct cc_ops *cc; /* of new connections */
	uint16_t ip_id;
	bool is_silent; /* being torn down: nothing goes out */
	bool withholds_ack; /* lwIP's next segment: stack_conn.c sends it */
	bool is_telling;    /* in the event loop */
	bool is_receiving;  /* in stack_input() */

	struct ts_key_map flows; /* tuple -> struct flow */
	struct stack_tcp *conns;
	struct stack_tcp *events_first, *events_last;
	struct stack_syn *syns_first, *syns_last;
	struct stack_tw *tws_first, *tws_last;
	size_t tw_count;
	struct tcp_pcb_listen listener; /* lent to lwIP for one SYN */
	size_t rx_bytes;   /* unread bytes of all connections */
	uint8_t *staying;  /* the packet at hand, when it stays; or NULL */
	struct rx_borrowed *borrowed; /* in queues, of such packets */
	size_t tx_bytes;   /* written and not acknowledged, of all */
	size_t held_bytes; /* memory of what came too early, of all */

	struct stack_tcp **heap; /* by due_ms, smallest first */
	size_t heap_len, heap_cap;

	struct ts_key_map udp_ports; /* port -> struct stack_udp chain */
	struct stack_udp *udps;
	struct ts_key_map echo_ids; /* id -> struct stack_echo */

	struct stack_frag *frags; /* oldest first */
	size_t frag_count;
	struct loop_packet *loop_first, *loop_last;
	size_t loop_count;

	struct ts_second_quota icmp_errors;

	struct ts_key_map sources; /* a peer's address -> stack_source */
	size_t half_open;	   /* of all peers */
	/* Each for the peers whose addresses have the same hash. */
	struct ts_second_quota echo_shares[STACK_ECHO_SHARES];
	uint32_t echo_seed;
	struct ts_flood syn_flood, echo_flood;
	struct stack_counters count;
};

/* -- stack_netif.c: lwIP's globals and its way out ------------------------ */
int stack_netif_add(struct stack *s);
void stack_netif_remove(struct stack *s);
/* Before any call into lwIP: its clock is that of s, its lists are empty. */
void stack_lwip_use(struct stack *s);
/* Hands one TCP segment to lwIP as from src to dst. */
void stack_lwip_input(struct stack *s, const struct stack_dgram *d);
/* The same with a copy of the segment, which is used up. */
void stack_lwip_input_pbuf(struct stack *s, struct pbuf *p,
			   const struct ts_ip *src, const struct ts_ip *dst);
void stack_set_v4_checksum(uint8_t *ip);
void stack_set_tcp_checksum(uint8_t *ip, size_t len);
ip_addr_t stack_to_lwip(const struct ts_ip *ip);
bool stack_lwip_is_busy(void);

/* -- stack_ip.c: IP headers ----------------------------------------------- */
bool stack_is_own(const struct stack *s, const struct ts_ip *ip);
/* Our own, or one that we route for others. */
bool stack_is_local(const struct stack *s, const struct ts_ip *ip);
/* Takes the headers off. 0; -EBADMSG; -EADDRNOTAVAIL for others' packets;
 * -EAGAIN for a fragment, which was kept. Whatever out points to lives until
 * stack_frag_release(). */
int stack_ip_parse(struct stack *s, const uint8_t *ip, size_t len,
		   bool from_us, struct stack_dgram *out);
/* Sends head followed by body, in fragments if it must. sum_at: where in head
 * the checksum goes (with the pseudo header but for ICMP); SIZE_MAX: none. */
int stack_ip_send(struct stack *s, const struct ts_ip *src,
		  const struct ts_ip *dst, uint8_t proto, const void *head,
		  size_t head_len, size_t sum_at, const void *body,
		  size_t body_len);
int stack_ip_send_within(struct stack *s, size_t mtu, const struct ts_ip *src,
			 const struct ts_ip *dst, uint8_t proto,
			 const void *head, size_t head_len, size_t sum_at,
			 const void *body, size_t body_len);
/* A packet that is ready, with room around it. */
void stack_emit(struct stack *s, struct ts_packet *pkt);

/* -- stack_frag.c --------------------------------------------------------- */
struct stack_frag_key {
	struct ts_ip src, dst;
	uint32_t id;
	uint8_t proto;
};
/* Adds one fragment. When it was the last the datagram is in *data, else
 * -EAGAIN; -EBADMSG when it was no good (and its datagram is dropped). */
int stack_frag_add(struct stack *s, const struct stack_frag_key *key,
		   size_t offset, bool more, const uint8_t *part, size_t len,
		   const uint8_t **data, size_t *data_len);
void stack_frag_release(struct stack *s);
uint64_t stack_frag_deadline(const struct stack *s);
void stack_frag_tick(struct stack *s);
void stack_frag_free_all(struct stack *s);

/* -- stack_loop.c: packets to ourselves ----------------------------------- */
void stack_loop_push(struct stack *s, const struct ts_packet *pkt);
void stack_loop_run(struct stack *s);
void stack_loop_free_all(struct stack *s);

/* -- stack.c -------------------------------------------------------------- */
void stack_tell_owners(struct stack *s);
void stack_packet(struct stack *s, const uint8_t *ip, size_t len, bool from_us);

/* -- stack_flow.c: segments to connections; TIME-WAIT --------------------- */
void stack_flow_key(uint8_t key[static STACK_FLOW_KEY_LEN],
		    const struct ts_addr *local, const struct ts_addr *remote);
struct flow *stack_flow_find(const struct stack *s, const struct ts_addr *local,
			     const struct ts_addr *remote);
int stack_flow_put(struct stack *s, const struct ts_addr *local,
		   const struct ts_addr *remote, struct flow *flow);
void stack_flow_take(struct stack *s, const struct ts_addr *local,
		     const struct ts_addr *remote, const struct flow *flow);
void stack_tcp_packet(struct stack *s, const struct stack_dgram *d);
void stack_tw_add(struct stack *s, const struct stack_tcp *t, uint32_t snd_nxt,
		  uint32_t rcv_nxt);
void stack_tw_remove(struct stack *s, struct stack_tw *tw);
/* A segment without data: RST, or the ACK of a connection in TIME-WAIT. */
void stack_tcp_control(struct stack *s, const struct ts_addr *local,
		       const struct ts_addr *remote, uint32_t seq, uint32_t ack,
		       uint8_t flags);

/* -- stack_conn.c: a connection on loan to lwIP --------------------------- */
struct stack_tcp *stack_tcp_new(struct stack *s, const struct ts_addr *local,
				const struct ts_addr *remote,
				const struct stack_tcp_ops *ops, void *user);
void stack_tcp_attach(struct stack_tcp *t, struct tcp_pcb *pcb);
err_t stack_tcp_on_connected(void *arg, struct tcp_pcb *pcb, err_t err);
err_t stack_tcp_on_accept(void *arg, struct tcp_pcb *pcb, err_t err);
void stack_tcp_enter(struct stack_tcp *t);
/* t may be freed by this when nobody owns it any more. */
void stack_tcp_leave(struct stack_tcp *t);
void stack_tcp_event(struct stack_tcp *t, unsigned event);
void stack_tcp_unqueue(struct stack_tcp *t);
/* The connection is over for its owner: told after what is unread. */
void stack_tcp_over(struct stack_tcp *t, int err);
void stack_tcp_free(struct stack_tcp *t);
/* Ends lwIP's part without callbacks. */
void stack_tcp_kill(struct stack_tcp *t, bool send_rst);

/* -- stack_send.c: our own sending side ----------------------------------- */
void stack_send_begin(struct stack_tcp *t); /* it is up */
void stack_send_end(struct stack_tcp *t);   /* lwIP is done with it */
/* Sends what may go, for a connection on loan. */
void stack_send(struct stack_tcp *t);
/* lwIP's own sending and timing off again, after it ran. */
void stack_send_quiet(struct stack_tcp *t);
/* What a segment says of ours. */
void stack_send_ack(struct stack_tcp *t, const struct stack_segment *seg);
struct tcp_seg *stack_send_last_unsent(struct stack_tcp *t);
uint64_t stack_send_persist_deadline(const struct stack_tcp *t);
void stack_send_persist(struct stack_tcp *t); /* that has come */

/* -- stack_out.c ---------------------------------------------------------- */
void stack_out_segment(struct stack_tcp *t, struct tcp_seg *seg);
void stack_out_ack(struct stack_tcp *t);

/* -- stack_segment.c ------------------------------------------------------ */
/* In sequence numbers. */
uint32_t stack_segment_len(const struct stack_segment *seg);
/* On loan; the caller sends afterwards. */
void stack_segment_input(struct stack_tcp *t, const struct stack_segment *seg,
			 const struct stack_dgram *d);

/* -- stack_reorder.c ------------------------------------------------------ */
/* Keeps a segment beyond what is next, or notes that it was there already. */
void stack_reorder_hold(struct stack_tcp *t, const struct stack_segment *in,
			const struct stack_dgram *d);
void stack_reorder_duplicate(struct stack_tcp *t, uint32_t seq, uint32_t end);
/* One whose turn has come: the caller's. NULL: none. */
struct pbuf *stack_reorder_next(struct stack_tcp *t, uint32_t rcv_nxt);
bool stack_reorder_has_news(const struct stack_tcp *t);
/* Blocks for the next ACK; their number. */
unsigned stack_reorder_sacks(struct stack_tcp *t,
			     struct tcp_range out[static TCP_SACKS_MAX]);
void stack_reorder_free(struct stack_tcp *t);

/* -- stack_mtu.c ---------------------------------------------------------- */
void stack_mtu_find(const struct stack *s, const struct ts_ip *to,
		    struct stack_mtu *out);
/* Before lwIP may make a SYN, which says what it takes of the netif. */
void stack_mtu_lend(const struct stack_tcp *t);
uint16_t stack_mtu_offer(const struct stack_tcp *t);
/* pcb->mss is as large as way, peer and owner allow. */
void stack_mtu_follow(struct stack_tcp *t);

/* -- stack_pool.c --------------------------------------------------------- */
/* Nobody has anything to send: what is kept for that is given back. */
void stack_pool_idle(void);

/* -- stack_options.c ------------------------------------------------------ */
/* After lwIP worked on it. */
void stack_tcp_measure(struct stack_tcp *t);
/* How long the peer must have been silent until stack_tcp_probe(). */
uint64_t stack_tcp_probe_idle(const struct stack_tcp *t);
/* On loan. false: that was one too many, and t may be freed. */
bool stack_tcp_probe(struct stack_tcp *t);
/* When the peer has acknowledged nothing for too long. */
uint64_t stack_tcp_stall_deadline(const struct stack_tcp *t);
/* That has come: t may be freed by it. */
void stack_tcp_stalled(struct stack_tcp *t);

/* -- stack_tcp_recv.c ----------------------------------------------------- */
enum { STACK_RX_FIRST_WINDOW = 256 * 1024 };
struct pbuf *stack_rx_pbuf(const uint8_t *segment, size_t len);
/* Of the packet at hand: only a view of it, when it stays. */
struct pbuf *stack_rx_pbuf_of(struct stack *s, const struct stack_dgram *d);
void stack_rx_append(struct stack_tcp *t, struct pbuf *p);
void stack_rx_free(struct stack_tcp *t);
/* Sets the first window of a connection that is just up. */
void stack_rx_first_window(struct stack_tcp *t);
bool stack_rx_is_full(const struct stack *s, const struct stack_tcp *t);

/* -- stack_timer.c -------------------------------------------------------- */
void stack_timer_catch_up(struct stack_tcp *t);
void stack_timer_schedule(struct stack_tcp *t);
void stack_timer_cancel(struct stack_tcp *t);
uint64_t stack_timer_deadline(const struct stack *s);
void stack_timer_run(struct stack *s);

/* -- stack_syn.c ---------------------------------------------------------- */
void stack_syn_input(struct stack *s, const struct stack_dgram *d,
		     const struct ts_addr *local, const struct ts_addr *remote);
/* A further segment of a tuple whose SYN waits. */
void stack_syn_again(struct stack_syn *syn, const struct stack_dgram *d);
void stack_syn_tick(struct stack *s);
void stack_syn_free_all(struct stack *s);

/* -- stack_source.c ------------------------------------------------------- */
/* One more connection begins: part of its peer's share until it is given back.
 * NULL: it has none left, or no memory. */
struct stack_source *stack_source_take(struct stack *s, const struct ts_ip *ip);
void stack_source_give_back(struct stack_source *source); /* NULL is fine */
/* May one more of its echo requests be answered? */
bool stack_source_may_echo(struct stack *s, const struct ts_ip *ip);

/* -- stack_echo.c --------------------------------------------------------- */
void stack_echo_reply(struct stack *s, const struct ts_ip *from, uint16_t id,
		      uint16_t seq, const uint8_t *data, size_t len);
void stack_echo_unreachable(struct stack *s, const struct ts_ip *to,
			    uint16_t id, uint16_t seq, int err);
void stack_echo_free_all(struct stack *s);

/* -- stack_udp.c, stack_icmp.c -------------------------------------------- */
void stack_udp_packet(struct stack *s, const struct stack_dgram *d);
void stack_icmp_packet(struct stack *s, const struct stack_dgram *d);
/* err: -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -EACCES */
void stack_icmp_unreachable(struct stack *s, const struct stack_dgram *d,
			    int err);
int stack_icmp_echo_reply(struct stack *s, const struct ts_ip *from,
			  const struct ts_ip *to, uint16_t id, uint16_t seq,
			  const void *data, size_t len);
int stack_icmp_echo(struct stack *s, const struct ts_ip *from,
		    const struct ts_ip *to, uint16_t id, uint16_t seq,
		    const void *data, size_t len);
/* The IP header that a datagram from src would have had; its length. */
size_t stack_ip_quote(const struct ts_ip *src, const struct ts_ip *dst,
		      uint8_t proto, size_t len, uint8_t *out, size_t cap);
/* A datagram of UDP that is gone: what is quoted has its ends, its length and
 * its data, which is all that a sender looks at. */
void stack_udp_unreachable(struct stack *s, const struct ts_addr *from,
			   const struct ts_addr *to, const void *data,
			   size_t len, int err);
int stack_udp_send_from(struct stack *s, const struct ts_addr *from,
			const struct ts_addr *to, const void *data, size_t len);
/* An ICMP error about a segment of ours with this sequence number. */
void stack_tcp_unreachable(struct stack *s, const struct ts_addr *local,
			   const struct ts_addr *remote, uint32_t seq, int err);

static inline uint32_t stack_tick_now(const struct stack *s)
{
	uint32_t tick = (uint32_t)(s->now_ms / STACK_TICK_MS);

	/* lwIP takes a time stamp of 0 for "not measuring" */
	return tick ? tick : 1;
}

#endif
