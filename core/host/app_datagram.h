/* SPDX-License-Identifier: BSD-3-Clause
 * app_datagram.h - datagrams between programs and the tailnet
 *
 * A flow is one remote end as one native socket of a program sees it. It has a
 * virtual loopback address, which the program's socket sends to and receives
 * from; so no payload needs a header, and the table says who is meant.
 *
 *   W    one socket for all flows of unconnected sockets. The virtual address
 *        is 127.x.y.z at W's port, told apart by IP_PKTINFO.
 *   D    a socket for one flow: of a connected socket, of one that wants its
 *        errors (IP_RECVERR), of one that cannot reach 127/8, and of all where
 *        only 127.0.0.1 may be bound.
 *
 *   datagram_request  SEND, CONNECT          datagram_socket  from programs
 *   datagram_flow     begin, find, end       datagram_batch   to programs
 *   app_datagram      the way of each        datagram_refuse  errors
 *   datagram_port     ports in the tailnet   datagram_sweep   ends
 *   datagram_echo     ping		       datagram_listener a socket each
 */
#ifndef CORE_HOST_APP_DATAGRAM_H
#define CORE_HOST_APP_DATAGRAM_H

#include <netinet/in.h>

#include "core/base/flood.h"
#include "core/host/node_choice.h"
#include "core/host/stand_ins.h"

enum {
	DGRAM_FLOWS_MAX = 12288, /* two entries of the table each, or three */
	DGRAM_OWN_SOCKETS_MAX =
		4096, /* D: and no more than a quarter of our fds */
	DGRAM_DUPS_MAX = DGRAM_OWN_SOCKETS_MAX / 4, /* of programs' sockets */
	DGRAM_QUEUE_MAX = 16, /* a flow's, until the node is up */
	DGRAM_QUEUE_BYTES = 64 * 1024,
	DGRAM_QUEUED_BYTES_MAX = 4 * 1024 * 1024, /* of all flows */
	DGRAM_MAX = 65535,
	DGRAM_NATIVE_KEY_LEN = 1 + TS_IP_LEN + 2,
	DGRAM_PORT_KEY_LEN = 1 + 2,
};

enum dgram_kind { DGRAM_UDP, DGRAM_ECHO };

/* Where a program's datagrams go. */
enum dgram_route {
	DGRAM_WAITS,   /* the node is not up yet */
	DGRAM_PEER,
	DGRAM_SELF,    /* to another program here, or back to itself */
	DGRAM_SERVICE, /* a name server that we are */
	DGRAM_NOBODY,  /* refused */
};

struct ts_dgram_port {
	struct ts_host *host;
	struct ts_member *member;
	struct stack_udp *udp; /* NULL: between two nodes, or no room */
	uint16_t number;
	unsigned users; /* flows and listeners */
	/* The socket that sends from this port without having registered it,
	 * and so is reached at it as well; port 0: none. */
	struct ts_addr native;
	bool is_v6_only, takes_v6;
	struct ts_dgram_port *next_unused;
	bool is_unused; /* in that list; perhaps in use again */
};

/* What the IP header said of it. The program that it is for may ask. */
struct dgram_marks {
	uint8_t hop_limit; /* 0: not known */
	uint8_t traffic_class;
};

struct dgram_queued {
	struct dgram_queued *next;
	size_t len;
	uint8_t data[];
};

struct ts_dgram {
	struct ts_link link; /* in one of the lists of struct ts_dgrams */
	struct ts_link closed_link; /* in closed */
	struct ts_host *host;
	struct ts_choice by;      /* of a program's socket */
	struct ts_member *member; /* through whom */
	uint64_t id;
	enum dgram_kind kind;
	enum dgram_route route;
	struct ts_addr local, remote; /* in the tailnet */
	struct ts_addr shown;         /* the remote end as the program has it */
	struct ts_addr virtual;
	/* The program's socket: as it is bound (port 0: not known yet), and
	 * the address of it that we send to. */
	struct ts_addr native, program;
	bool is_v6_only, is_connected, is_raw;
	bool is_over; /* in no map any more; freed when the turn ends */
	bool was_sent; /* by the program */
	bool is_answered; /* in that list */
	bool was_missed; /* in the kernel's list, when it was last read */
	uint64_t made_ms, used_ms, first_sent_ms;
	struct ts_dgram_port *port; /* NULL: echo */
	struct stack_echo *echo;
	uint16_t echo_id; /* the program's */
	struct ts_dgram *next_same_ends;
	struct ts_entry *entry;	   /* TS_FLOW_DATAGRAM */
	struct ts_entry *sends[2]; /* TS_FLOW_SEND; second: dual-stack twin */
	struct dgram_queued *queue_first, *queue_last;
	struct ts_dgram *next_to_send; /* while the node changes */
	size_t queue_len, queue_bytes;
	/* D */
	int fd; /* -1: W serves it */
	struct ts_watch *watch;
	uint64_t closed_until_ms; /* 0: open */
	int dup_fd; /* the program's socket, for errors; -1: none */
	bool keeps_dup; /* while the program has it: nobody misses its port */
	uint64_t inode; /* of that socket, when it is a connected one's */
	pid_t pid;
};

struct dgram_in;  /* datagram_socket.c: buffers */
struct dgram_out; /* datagram_batch.c */

struct ts_dgrams {
	struct ts_host *host;
	int fd; /* W */
	uint16_t fd_port;
	struct ts_watch *watch;
	struct dgram_in *in;
	struct dgram_out *out;
	struct ts_key_map by_virtual; /* ip -> flow of W */
	/* Each begins with the member: */
	struct ts_key_map by_ends; /* our port, remote end -> chain of flows */
	struct ts_key_map ports;   /* number -> port */
	struct ts_key_map by_native; /* native address -> its port */
	/* and these do not: */
	struct ts_key_map by_inode; /* connected socket -> its flow */
	/* Flows by last use: answered are those whose program has sent. */
	struct ts_link answered, unanswered, over;
	size_t unanswered_count[2]; /* of W; of D's */
	struct ts_link closed; /* D's that refuse, by closed_until_ms */
	struct ts_dgram_port *unused;
	size_t flow_count, own_count, own_max, dup_count, dup_max;
	size_t queued_bytes;
	struct ts_timer *reopen, *sweep;
	uint64_t looked_ms; /* for programs that are gone */
	struct ts_log_limit limit;
	struct ts_flood flood;
};

/* -- datagram_flow.c ------------------------------------------------------ */
struct dgram_wish {
	struct ts_choice by;
	struct ts_member *member;
	enum dgram_kind kind;
	struct ts_addr asked; /* the socket as bound; zero: not bound */
	struct ts_addr remote;
	struct ts_addr shown;         /* as in struct ts_dgram */
	struct ts_stand_in *stand_in; /* which that is; NULL: none */
	struct ts_dgram_port *port; /* counted; the flow's from here */
	bool is_v6_only, is_raw, is_connected;
	bool is_dedicated; /* wants a socket of its own */
	int dup_fd;	   /* the flow's from here; -1: none */
	pid_t pid;
};
/* NULL: *err, and wish's port and dup are gone as well. */
struct ts_dgram *ts_dgram_new(struct ts_host *host,
			      const struct dgram_wish *wish, int *err);
/* Out of every map now, freed when this turn of the loop is over. */
void ts_dgram_end(struct ts_dgram *flow);
/* How an address without family of its own is known: a dual-stack wildcard
 * is 0.0.0.0. */
struct ts_addr ts_dgram_canonical(const struct ts_addr *native,
				  bool is_v6_only);
/* The flow of this socket to remote, or NULL. */
struct ts_dgram *ts_dgram_find(const struct dgram_wish *wish);
/* The first flow between our port (0: echo) and remote. */
struct ts_dgram *ts_dgram_first(const struct ts_member *member, uint16_t port,
				const struct ts_addr *remote);
/* Puts the SEND entry of a socket that is bound as asked. */
int ts_dgram_publish_send(struct ts_dgram *flow, const struct ts_addr *asked);
/* It is to go through another member: out of the maps of one, into those of the
 * other. 0, or -errno: it is to be ended. */
int ts_dgram_move(struct ts_dgram *flow, struct ts_member *to);
/* Our own address may be another one: sets it, and tells the table. */
void ts_dgram_republish(struct ts_dgram *flow);
void ts_dgram_touch(struct ts_dgram *flow);
struct ts_dgram *ts_dgram_first_in(const struct ts_link *head);
/* Calls fn for every flow; fn may end it, and no other. */
void ts_dgram_for_all(struct ts_host *host,
		      void (*fn)(struct ts_dgram *flow, void *ctx), void *ctx);
/* The one of W, or of the D's, to give up first; NULL: none. */
struct ts_dgram *ts_dgram_oldest(const struct ts_dgrams *all,
				 bool has_socket);
/* Frees those that are over. */
void ts_dgrams_reap(struct ts_host *host);
void ts_dgrams_init_maps(struct ts_dgrams *all);
void ts_dgrams_free_maps(struct ts_dgrams *all);

/* -- app_datagram.c ------------------------------------------------------- */
/* Who would carry a datagram to ip; 0 or -ENETDOWN, -ENETUNREACH,
 * -EHOSTUNREACH. */
int ts_dgram_route(const struct ts_member *member, const struct ts_addr *remote,
		   enum dgram_route *out);
/* What a program sent into a flow. */
void ts_dgram_from_program(struct ts_dgram *flow, const uint8_t *data,
			   size_t len, const struct dgram_marks *marks);
/* To the program; marks may be NULL. false: it is not connected (yet). */
bool ts_dgram_to_program(struct ts_dgram *flow, const void *data, size_t len,
			 const struct dgram_marks *marks);
/* From the tailnet, or from a flow to ourselves, which has marks. */
void ts_dgram_arrived(struct ts_member *member, struct ts_dgram_port *port,
		      const struct ts_addr *from, const struct ts_addr *to,
		      const uint8_t *data, size_t len,
		      const struct dgram_marks *marks);
/* What waits for the node is lost. */
void ts_dgram_drop_queue(struct ts_dgram *flow);

/* -- datagram_listener.c -------------------------------------------------- */
/* The flow of a new remote end, whose socket is on its way to the program.
 * NULL: there is no room for more of them. */
struct ts_dgram *ts_flow_listener_begin(struct ts_flow_listener *flows,
					struct ts_dgram_port *port,
					const struct ts_addr *from);

/* -- datagram_port.c ------------------------------------------------------ */
struct ts_dgram_port *ts_dgram_port_find(const struct ts_member *member,
					 uint16_t number);
/* The port that a socket bound like this sends from; counted. */
struct ts_dgram_port *ts_dgram_port_of(struct ts_member *member,
				       const struct ts_addr *asked,
				       bool is_v6_only, int *err);
void ts_dgram_ports_reap(struct ts_host *host);
/* Out of the stack of a node that goes, and into the next one's. */
void ts_dgram_ports_leave(struct ts_member *member);
void ts_dgram_ports_enter(struct ts_member *member);

/* -- datagram_socket.c ---------------------------------------------------- */
int ts_dgram_sockets_open(struct ts_host *host);
void ts_dgram_sockets_close(struct ts_host *host);
/* D for flow: sets fd, watch, virtual. */
int ts_dgram_socket_open(struct ts_dgram *flow);
/* Where the program is, once it is connected to D. */
bool ts_dgram_learn_program(struct ts_dgram *flow);
/* Takes in what D's program sent before it leaves. */
void ts_dgram_socket_drain(struct ts_dgram *flow);
/* Connects D to its program again (after a refusal). */
void ts_dgram_socket_join(const struct ts_dgram *flow);

/* -- datagram_batch.c ----------------------------------------------------- */
int ts_dgram_batch_open(struct ts_host *host);
void ts_dgram_batch_close(struct ts_host *host);
void ts_dgram_batch_add(struct ts_dgram *flow, const void *data, size_t len,
			const struct dgram_marks *marks);
void ts_dgram_flush(struct ts_host *host);

/* -- datagram_refuse.c ---------------------------------------------------- */
/* The far end refused, err as of ICMP: tells the program where it can be
 * told. */
void ts_dgram_refuse(struct ts_dgram *flow, int err);
/* Refuses whatever the program sends, until it is reopened. */
void ts_dgram_shut(struct ts_dgram *flow);
void ts_dgram_reopen(struct ts_dgram *flow);
void ts_dgram_reopen_due(void *host);
void ts_dgram_drop_dup(struct ts_dgram *flow);
/* The program's socket is gone: so is the flow, and the peer is told. */
void ts_dgram_program_gone(struct ts_dgram *flow);

/* -- datagram_sweep.c ----------------------------------------------------- */
void ts_dgram_sweep(void *host);
/* Ends the flows of programs that are gone, unless that was just done. */
void ts_dgram_look_for_gone(struct ts_host *host);

/* -- datagram_echo.c ------------------------------------------------------ */
int ts_dgram_echo_open(struct ts_dgram *flow);
void ts_dgram_echo_send(struct ts_dgram *flow, const uint8_t *data,
			size_t len);

#endif
