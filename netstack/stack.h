/* SPDX-License-Identifier: BSD-3-Clause
 * stack.h - TCP, UDP and ICMP inside the tunnel; lwIP stays behind this door
 *
 * One loop thread owns every stack. lwIP keeps globals, so there is one lwIP
 * per process and one netif per stack (one stack a node); every pcb is bound
 * to its stack's netif, and packets whose destination is not the netif's are
 * dropped. Nothing blocks; callbacks come from stack_input() and
 * stack_tick() on the same thread and may call back in.
 */
#ifndef NETSTACK_STACK_H
#define NETSTACK_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/base/addr.h"
#include "core/base/packet.h"

struct stack;
struct stack_tcp; /* one connection */
struct stack_syn; /* an inbound SYN that waits for a decision */
struct stack_udp; /* a UDP binding */
struct stack_echo; /* sends echo requests */

/* Sizes of packets on a way; 1,280 bytes always pass. */
struct stack_mtu {
	size_t now;  /* what it carries */
	size_t most; /* what the other end may send, if the way allows */
};

struct stack_ops {
	/* An IP packet out; headroom and tailroom as in packet.h. Must not
	 * call into any stack: a stack_input() from here is dropped. */
	void (*output)(void *ctx, struct ts_packet *pkt);
	/* Where the next packet, of len bytes at most, can be made so that it
	 * need not be copied by whom output() gives it to; room around it as
	 * in packet.h. NULL, also in place of the function: nowhere. */
	uint8_t *(*room)(void *ctx, size_t len);
	/* A new inbound connection. Keep syn and answer with
	 * stack_syn_accept(), stack_syn_refuse() or stack_syn_drop() - now or
	 * later (within 30 s, else it is dropped: syn_gone tells). Duplicate
	 * SYNs meanwhile are absorbed. */
	void (*inbound_syn)(void *ctx, struct stack_syn *syn,
			    const struct ts_addr *local,
			    const struct ts_addr *remote);
	void (*syn_gone)(void *ctx, struct stack_syn *syn);
	/* The clock of now_ms in microseconds: round trips and rates are as
	 * fine as this. NULL: milliseconds have to do. */
	uint64_t (*now_us)(void *ctx);
	/* The way to an address; out has 1,280 bytes in it. May be NULL. */
	void (*mtu)(void *ctx, const struct ts_ip *to, struct stack_mtu *out);
	/* The address that stands for whoever may send from ip; out has ip in
	 * it. May be NULL: each for itself. */
	void (*owner)(void *ctx, const struct ts_ip *ip, struct ts_ip *out);
	/* Do we take packets for this address, though it is not ours, because
	 * we route them? NULL: for none. Connections to it come by
	 * inbound_syn(), with that address as local. */
	bool (*forwards)(void *ctx, const struct ts_ip *dst);
	/* A datagram, and an echo request, for such an address. */
	void (*forward_udp)(void *ctx, const struct ts_addr *from,
			    const struct ts_addr *to, const uint8_t *data,
			    size_t len);
	void (*forward_echo)(void *ctx, const struct ts_ip *from,
			     const struct ts_ip *to, uint16_t id, uint16_t seq,
			     const uint8_t *data, size_t len);
};

/* Callbacks of one connection. user is what the owner set. After gone() the
 * stack_tcp is no longer valid. */
struct stack_tcp_ops {
	void (*connected)(void *user); /* dialled connection is up */
	/* Bytes can be read (or EOF): call stack_tcp_read_view(). */
	void (*readable)(void *user);
	/* Send room again after stack_tcp_write() returned short. */
	void (*writable)(void *user);
	/* Over: err 0 both directions closed in order, else -ECONNREFUSED,
	 * -ECONNRESET, -ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH. */
	void (*gone)(void *user, int err);
};

/* now_ms: the loop's clock; lwIP's timers run from it. */
struct stack *stack_new(const struct stack_ops *ops, void *ctx,
			uint64_t now_ms);
void stack_free(struct stack *s); /* aborts everything without a packet */
/* Own addresses; :: for none. Changing them aborts connections of the old. */
void stack_set_addrs(struct stack *s, const struct ts_ip *v4,
		     const struct ts_ip *v6);
/* What ops->forwards() says has changed: connections of addresses that we route
 * no more are aborted. */
void stack_routes_changed(struct stack *s);
void stack_input(struct stack *s, const uint8_t *ip, size_t len,
		 uint64_t now_ms);
/* The same, with a packet that stays where it is: what belongs to a connection
 * and has not been consumed is copied by stack_release() only, before which
 * the packet must not be touched. */
void stack_input_staying(struct stack *s, uint8_t *ip, size_t len,
			 uint64_t now_ms);
void stack_release(struct stack *s);
/* Congestion control of connections from now on: "cubic" or "bbr". 0, -ENOENT.
 */
int stack_set_congestion(struct stack *s, const char *name);
/* What ops->mtu() says has changed. */
void stack_path_changed(struct stack *s);
/* Connections with these remote ends: their peer is reached by another path, or
 * is heard again. What waits for an answer is sent again at once. */
void stack_try_again(struct stack *s,
		     bool (*concerns)(void *ctx, const struct ts_ip *remote),
		     void *ctx, uint64_t now_ms);
/* Before an owner acts on his own: what is sent is timed from now on. */
void stack_set_now(struct stack *s, uint64_t now_ms);
uint64_t stack_deadline_ms(const struct stack *s);
void stack_tick(struct stack *s, uint64_t now_ms);

/* local_port 0: ephemeral. remote must be of a family we have an address of.
 * *err: -EADDRNOTAVAIL, -EADDRINUSE, -ENETUNREACH (no address of that
 * family), -ENOMEM. */
struct stack_tcp *stack_tcp_dial(struct stack *s, const struct ts_addr *remote,
				 uint16_t local_port,
				 const struct stack_tcp_ops *ops, void *user,
				 uint64_t now_ms, int *err);
/* SYN-ACK goes out now; connected() follows when the handshake is done. NULL
 * when out of memory (the SYN is dropped). */
struct stack_tcp *stack_syn_accept(struct stack_syn *syn,
				   const struct stack_tcp_ops *ops, void *user,
				   uint64_t now_ms);
void stack_syn_refuse(struct stack_syn *syn); /* RST */
/* ICMP, as err says: -EHOSTUNREACH, -ENETUNREACH, -EACCES. */
void stack_syn_unreachable(struct stack_syn *syn, int err);
void stack_syn_drop(struct stack_syn *syn);   /* silence */

/* The next bytes in place, without copy: up to iov_cap pieces. Returns the
 * number of pieces, 0: nothing now, -EPIPE: EOF after everything was
 * consumed. consume() returns window to the peer. */
int stack_tcp_read_view(struct stack_tcp *t, struct iovec *iov, int iov_cap);
void stack_tcp_consume(struct stack_tcp *t, size_t len);
/* Copies into the send queue; returns bytes taken (0: wait for writable). */
size_t stack_tcp_write(struct stack_tcp *t, const void *data, size_t len);
/* Bytes that stack_tcp_write() would take now. */
size_t stack_tcp_send_room(const struct stack_tcp *t);
/* Push out what was written (call once after a batch of writes). */
void stack_tcp_flush(struct stack_tcp *t);
/* FIN after what was written. */
void stack_tcp_shutdown_write(struct stack_tcp *t);
/* Orderly close of both directions; data queued still goes out in the
 * background; no more callbacks; t is invalid. Unread input -> RST. */
void stack_tcp_close(struct stack_tcp *t);
void stack_tcp_abort(struct stack_tcp *t); /* RST; no callback; t invalid */
/* Fail a dial from outside (TSMP reject): gone(err) without a packet. */
void stack_tcp_fail(struct stack_tcp *t, int err);
struct ts_addr stack_tcp_local(const struct stack_tcp *t);
struct ts_addr stack_tcp_remote(const struct stack_tcp *t);
void stack_tcp_set_user(struct stack_tcp *t, const struct stack_tcp_ops *ops,
			void *user);
void stack_tcp_set_nodelay(struct stack_tcp *t, bool on);
/* What an owner may want of a connection; 0 is the default of each number, and
 * what makes no sense is the default, too. */
struct stack_tcp_options {
	bool keepalive;
	uint32_t keep_idle_ms, keep_interval_ms, keep_count;
	uint32_t user_timeout_ms; /* -ETIMEDOUT when nothing is acknowledged */
	uint16_t mss;		  /* of what is sent: at most */
	uint8_t traffic_class;	  /* without its ECN bits */
	uint8_t ttl;
};
void stack_tcp_set_options(struct stack_tcp *t,
			   const struct stack_tcp_options *o);
/* Of this one, which may be under way. 0, -ENOENT. */
int stack_tcp_set_congestion(struct stack_tcp *t, const char *name);
const char *stack_tcp_congestion(const struct stack_tcp *t);
enum stack_tcp_state { /* with Linux's numbers */
	STACK_ESTABLISHED = 1,
	STACK_SYN_SENT,
	STACK_SYN_RECEIVED,
	STACK_FIN_WAIT_1,
	STACK_FIN_WAIT_2,
	STACK_TIME_WAIT,
	STACK_CLOSED,
	STACK_CLOSE_WAIT,
	STACK_LAST_ACK,
	STACK_CLOSING = 11,
};
struct stack_tcp_info {
	uint8_t state; /* enum stack_tcp_state */
	bool has_sack, has_scale, is_recovering;
	uint8_t send_scale, receive_scale;
	uint8_t retransmits, probes, backoff; /* in a row, now */
	uint16_t mtu, send_mss, advertised_mss;
	uint32_t rto_us, rtt_us, rtt_var_us, min_rtt_us; /* 0: no trip yet */
	uint32_t cwnd, ssthresh, unacked, lost, sacked; /* segments */
	uint64_t pacing_rate, delivery_rate; /* bytes/s; 0: none */
	uint32_t total_retransmits;
	uint32_t unsent_bytes, send_window, receive_window;
	uint64_t bytes_acked, bytes_received;
};
/* 0, or -ENOTCONN when it is over but for what is unread. */
int stack_tcp_info(const struct stack_tcp *t, struct stack_tcp_info *out);
/* Unacknowledged and unsent bytes (to drain at exit). */
size_t stack_tcp_pending(const struct stack_tcp *t);
/* The dialled connection with this local and remote end, or NULL. */
struct stack_tcp *stack_tcp_find(struct stack *s, const struct ts_addr *local,
				 const struct ts_addr *remote);

typedef void (*stack_udp_fn)(void *user, const struct ts_addr *from,
			     const struct ts_addr *to, const uint8_t *data,
			     size_t len);
/* local->ip :: or 0.0.0.0: both families; port 0: ephemeral. */
struct stack_udp *stack_udp_open(struct stack *s, const struct ts_addr *local,
				 stack_udp_fn fn, void *user, int *err);
/* 0, -EMSGSIZE, -EHOSTUNREACH, -ENOMEM; from_ip ::: own address. */
int stack_udp_send(struct stack_udp *u, const struct ts_addr *to,
		   const void *data, size_t len);
/* A datagram to remote came back as ICMP unreachable: -ECONNREFUSED,
 * -EHOSTUNREACH or -ENETUNREACH. fn NULL: nobody wants to know. */
typedef void (*stack_udp_error_fn)(void *user, const struct ts_addr *remote,
				   int err);
void stack_udp_set_error(struct stack_udp *u, stack_udp_error_fn fn);
/* The same from outside (TSMP): what local sent to remote was refused. */
void stack_udp_fail(struct stack *s, const struct ts_addr *local,
		    const struct ts_addr *remote, int err);
/* Nobody wants this datagram, which fn was given now or before: the sender is
 * told by ICMP port unreachable, which quotes the beginning of data. */
void stack_udp_refuse(struct stack_udp *u, const struct ts_addr *from,
		      const struct ts_addr *to, const void *data, size_t len);
uint16_t stack_udp_port(const struct stack_udp *u);
/* Also from within fn and error_fn. */
void stack_udp_close(struct stack_udp *u);

/* ICMP(v6) echo: a reply to a request of this owner, and an error about one
 * (errno as for UDP; NULL: nobody wants to know). */
typedef void (*stack_echo_fn)(void *user, const struct ts_ip *from,
			      uint16_t seq, const uint8_t *data, size_t len);
typedef void (*stack_echo_error_fn)(void *user, const struct ts_ip *to,
				    uint16_t seq, int err);
/* NULL: *err -ENOMEM, or -EADDRINUSE when all identifiers are taken. */
struct stack_echo *stack_echo_open(struct stack *s, stack_echo_fn fn,
				   stack_echo_error_fn error_fn, void *user,
				   int *err);
/* 0, -EMSGSIZE, -ENETUNREACH. */
int stack_echo_send(struct stack_echo *e, const struct ts_ip *to, uint16_t seq,
		    const void *data, size_t len);
void stack_echo_close(struct stack_echo *e); /* NULL is fine */

/* -- what we route for others (ops->forwards()) --------------------------- */
/* From an address that is not ours, and what came from there to a peer: 0,
 * -EMSGSIZE, -ENETUNREACH. */
int stack_forward_udp(struct stack *s, const struct ts_addr *from,
		      const struct ts_addr *to, const void *data, size_t len);
int stack_forward_echo_reply(struct stack *s, const struct ts_ip *from,
			     const struct ts_ip *to, uint16_t id, uint16_t seq,
			     const void *data, size_t len);
/* What a peer sent did not arrive: it is told by ICMP, err as for
 * stack_syn_unreachable(), or -ECONNREFUSED. data: what is known of it. */
void stack_forward_udp_failed(struct stack *s, const struct ts_addr *from,
			      const struct ts_addr *to, const void *data,
			      size_t len, int err);
void stack_forward_echo_failed(struct stack *s, const struct ts_ip *from,
			       const struct ts_ip *to, uint16_t id,
			       uint16_t seq, int err);

struct stack_counters {
	uint64_t tcp_active, tcp_dialled, tcp_accepted, tcp_refused;
	uint64_t packets_in, packets_out, dropped_not_ours, dropped_bad;
};
void stack_counters(const struct stack *s, struct stack_counters *out);

#endif
