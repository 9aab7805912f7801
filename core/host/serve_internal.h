/* SPDX-License-Identifier: BSD-3-Clause
 * serve_internal.h - what the files of the node's own servers ask of each other
 *
 *   serve_server   connections: which they are, how long
 *   serve_places   how many there may be, of whom
 *   serve_stream   a client's bytes, plain or out of TLS
 *   serve_h2       a connection that carries others, as streams of HTTP/2
 *   serve_http     one request after the other: which handler has it
 *   serve_answer   answers of our own: texts, redirects, errors
 *   serve_files    files and directories; serve_list a directory's page
 *   serve_proxy    a backend's answers; serve_backend is its connection
 *   serve_forward  a TCP port that is passed on as it is
 *   serve_dial     a connection to what is behind
 *
 * The stack tells per packet, a socket whenever it likes. Both only line a
 * connection up; it is worked on once in a turn of the loop, before that
 * sleeps, and nowhere else, so nothing is freed under anybody's hands.
 */
#ifndef CORE_HOST_SERVE_INTERNAL_H
#define CORE_HOST_SERVE_INTERNAL_H

#include "core/base/byte_queue.h"
#include "core/host/host_internal.h"
#include "core/host/serve.h"
#include "core/node/node_serve.h"
#include "core/serve/h2_server.h"
#include "core/serve/proxy_head.h"
#include "core/serve/serve_config.h"

enum {
	SERVE_CONNS_MAX = 2048, /* and an eighth of our descriptors */
	SERVE_CONNS_EACH = 512, /* of one peer, or of what an ingress brings */
	SERVE_CONNS_CALLER = 128, /* of which of one caller from the internet */
	SERVE_HEAD_MS = 30 * 1000, /* for a request's head, once it began */
	SERVE_IDLE_MS = 300 * 1000, /* between two requests */
	SERVE_STALL_MS = 300 * 1000, /* nothing of an answer is taken */
	SERVE_FRESH_MS = 1500, /* no backend is tired of a connection then */
	SERVE_LINGER_MS = 1000, /* of who still sends after our last word */
	SERVE_BUFFER_BYTES = 64 * 1024, /* of bodies, each way */
	SERVE_QUEUE_BYTES = 256 * 1024,
	SERVE_DISCARD_BYTES = 256 * 1024, /* of a body that nobody wants */
	SERVE_SERVICE_CAP = 68, /* "svc:" and a label */
	SERVE_IDLE_BACKENDS = 4, /* between two streams, of what carries them */
};

struct serve_conn;
struct serve_backend;

/* -- serve_stream.c ------------------------------------------------------- */
struct serve_stream {
	struct stack_tcp *tcp; /* NULL: gone, or TLS has it */
	struct ts_tls_conn *tls;
	int fd; /* of a program here, plain; -1: none */
	struct ts_watch *watch;
	struct ts_h2_stream *h2; /* of what carries it; NULL: gone, or none */
	struct serve_conn *carrier;
	bool is_up;	       /* the handshake is done */
	bool has_ended;	       /* the client's side, in order */
	struct serve_conn *owner;
};
/* Answers the SYN. -ENOMEM: it was dropped, or reset. */
int serve_stream_accept(struct serve_stream *s, struct stack_syn *syn,
			bool is_tls);
/* One that is up already; TLS. -ENOMEM: it was reset. */
int serve_stream_adopt(struct serve_stream *s, struct stack_tcp *tcp);
/* A program's of this node. As above. */
int serve_stream_take(struct serve_stream *s, int fd, bool is_tls);
/* What is waited for now. */
void serve_stream_watch(struct serve_stream *s, bool wants_bytes,
			bool wants_room);
/* Of TLS, whose certificate the client was shown. */
const char *serve_stream_name(const struct serve_stream *s);
/* HTTP/2 was agreed upon. */
bool serve_stream_is_h2(const struct serve_stream *s);
/* Up to cap bytes; 0: none now, or the end (has_ended). */
size_t serve_stream_read(struct serve_stream *s, void *out, size_t cap);
size_t serve_stream_write(struct serve_stream *s, const void *data, size_t len);
void serve_stream_flush(struct serve_stream *s);
/* What was written is not on its way yet, and could still be lost. */
bool serve_stream_is_pending(const struct serve_stream *s);
void serve_stream_end(struct serve_stream *s); /* our side, in order */
void serve_stream_close(struct serve_stream *s);
void serve_stream_abort(struct serve_stream *s);

/* -- serve_places.c ------------------------------------------------------- */
struct ts_serve;
struct serve_place {
	struct ts_link link; /* in serve->places, or in no list */
	struct ts_ip peer, caller; /* the same, but of what an ingress brings */
};
/* false: there is none for him now. */
bool serve_place_take(struct ts_serve *serve, struct serve_place *place,
		      const struct ts_ip *peer, const struct ts_ip *caller);
void serve_place_leave(struct ts_serve *serve, struct serve_place *place);
size_t serve_places_max(void);

/* -- serve_server.c ------------------------------------------------------- */
struct ts_serve {
	struct ts_member *member;
	struct ts_link conns, ready, forwards, places;
	size_t count, count_max; /* of places */
	struct ts_timer *ready_timer, *sweep;
	struct ts_log_limit backend_limit;
};

enum serve_state {
	SERVE_HEAD,	/* a request is awaited */
	SERVE_H2,	/* it carries streams */
	SERVE_DISCARD,	/* answered; what is left of its body is read */
	SERVE_FILE,	/* a file is sent */
	SERVE_PROXY,	/* a backend has it */
	SERVE_TUNNEL,	/* bytes both ways: the protocol was switched */
	SERVE_LAST,	/* our side ends when all is sent */
	SERVE_LINGER,	/* it has; the client's is awaited */
};

struct serve_conn {
	struct ts_link link;  /* in serve->conns */
	struct ts_link ready; /* in serve->ready, or in no list */
	struct ts_member *member;
	uint64_t id;
	struct serve_stream stream;
	struct ts_addr remote; /* the client, also of Funnel */
	struct serve_place place;
	uint16_t port;	       /* of ours */
	char service[SERVE_SERVICE_CAP]; /* "": the node itself */
	bool is_tls, is_funnel;
	bool is_over;
	enum serve_state state;
	uint64_t due_ms; /* then it is aborted */
	struct ts_byte_queue in, out;
	/* The request that is being answered. */
	uint8_t *head;
	struct ts_serve_request req;
	struct ts_byte_queue trailers; /* of the request */
	bool has_begun;	    /* its first byte is here */
	bool has_continued; /* 100 was said */
	uint64_t discarded;
	bool closes; /* after this answer */
	/* serve_h2.c; NULL: it carries none */
	struct ts_h2_server *h2;
	struct serve_backend *idle[SERVE_IDLE_BACKENDS]; /* or NULL */
	/* serve_files.c */
	int file_fd; /* -1: none */
	uint64_t file_left;
	struct serve_parts *parts; /* NULL: it is sent in one */
	/* serve_proxy.c; kept for the next request */
	struct serve_backend *backend;
};

/* From the internet, brought by peer; TLS. Takes up. */
void serve_web_funnel(struct ts_member *member, struct stack_tcp *up,
		      const struct ts_addr *src, const struct ts_ip *peer,
		      uint16_t port);
/* A stream that carrier carries; NULL: too many, or no memory. */
struct serve_conn *serve_conn_new_stream(struct serve_conn *carrier);
void serve_conn_line_up(struct serve_conn *conn);
void serve_conn_set_due(struct serve_conn *conn, uint64_t in_ms);
/* At the end of this turn. */
void serve_conn_kill(struct serve_conn *conn);

/* -- serve_h2.c ----------------------------------------------------------- */
/* false: HTTP/2 was not agreed upon. */
bool serve_h2_begin(struct serve_conn *conn);
bool serve_h2_step(struct serve_conn *conn);
void serve_h2_follow_due(struct serve_conn *conn, bool has_moved);
/* Says that it is the end, where nothing is under way; false: something is. */
bool serve_h2_end(struct serve_conn *conn);
void serve_h2_close(struct serve_conn *conn);
/* A stream's backend is kept for another stream, if there is room. */
void serve_h2_keep_backend(struct serve_conn *conn);
/* One that leads to target, or NULL. */
struct serve_backend *
serve_h2_take_backend(struct serve_conn *conn,
		      const struct ts_serve_target *target, bool wants_h2);

/* -- serve_http.c --------------------------------------------------------- */
/* One step; true: something was done, and more may be. */
bool serve_http_step(struct serve_conn *conn);
/* The answer's last byte is in out: on with the body, or the next request. */
void serve_http_answered(struct serve_conn *conn);
void serve_http_forget(struct serve_conn *conn);

/* -- serve_answer.c ------------------------------------------------------- */
/* A whole answer with a body of text. more: lines of fields, or "". */
void serve_answer(struct serve_conn *conn, int status, const char *type,
		  const char *more, const char *body, size_t len);
/* The status, in words. */
void serve_answer_status(struct serve_conn *conn, int status);
void serve_answer_redirect(struct serve_conn *conn, int status,
			   const char *to);
/* Heap, or NULL. */
char *serve_escape_html(const char *text);
/* A head alone: the body follows, or is left out (HEAD). */
void serve_answer_head(struct serve_conn *conn, int status, const char *type,
		       const char *more, uint64_t len);

/* -- serve_files.c -------------------------------------------------------- */
void serve_files(struct serve_conn *conn, const char *root,
		 const char *mount);
bool serve_files_step(struct serve_conn *conn);
void serve_files_close(struct serve_conn *conn);

/* -- serve_list.c --------------------------------------------------------- */
/* Of the directory fd, which is closed. */
void serve_list(struct serve_conn *conn, int fd);

/* -- serve_proxy.c -------------------------------------------------------- */
void serve_proxy(struct serve_conn *conn, const struct ts_serve_handler *h);
bool serve_proxy_step(struct serve_conn *conn);
bool serve_tunnel_step(struct serve_conn *conn);

/* -- serve_forward.c ------------------------------------------------------ */
void serve_forward_syn(struct ts_member *member, struct stack_syn *syn,
		       const struct ts_addr *remote,
		       const struct ts_serve_tcp *tcp);
/* A program's of this node; takes fd. */
void serve_forward_fd(struct ts_member *member, int fd,
		      const struct ts_addr *remote,
		      const struct ts_serve_tcp *tcp);
/* From the internet, brought by peer; it is up already. */
void serve_forward_tcp(struct ts_member *member, struct stack_tcp *up,
		       const struct ts_addr *remote, const struct ts_ip *peer,
		       const struct ts_serve_tcp *tcp);
bool serve_forward_syn_gone(struct ts_member *member,
			    const struct stack_syn *syn);
void serve_forwards_end(struct ts_member *member);

#endif
