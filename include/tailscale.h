/* SPDX-License-Identifier: BSD-3-Clause
 * tailscale.h - the C interface of Tailscale's libtailscale, by this project
 *
 * Programs that were written for libtailscale compile against this header and
 * run with our libtailscale.so as they are. New programs are better off with
 * tsnet.h, which says more about errors, has time-outs and datagrams.
 *
 * Servers are numbers, not descriptors; connections and listeners are
 * descriptors. Functions return 0, or -1 with words at tailscale_errmsg(), or a
 * positive errno: EBADF for a number that is none of ours, ERANGE for a buffer
 * that is too small (what fits is in it). errno is not set.
 *
 * Differences that a program may notice: connections and listeners are TCP
 * sockets on loopback in place of AF_UNIX socket pairs (datagrams: UDP, whose
 * boundaries are kept); the settings of tsnet.conf(5) and its environment hold
 * where the program says nothing.
 */
#ifndef TAILSCALE_H
#define TAILSCALE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int tailscale;
typedef int tailscale_conn;
typedef int tailscale_listener;

/* -- the server ----------------------------------------------------------- */

/* -1 when out of memory. Nothing is begun. */
extern tailscale tailscale_new(void);
/* Start; does not wait for the network. Dial and listen do it, too. */
extern int tailscale_start(tailscale sd);
/* Start and wait, for ever if need be, until the node is running;
 * tailscale_close() from another thread ends that. */
extern int tailscale_up(tailscale sd);
/* The number is free from now on, in every case. */
extern int tailscale_close(tailscale sd);

/* -- settings, before the start ------------------------------------------- */

/* Where keys are kept; by default, as tsnet has it, the directory tsnet-PROGRAM
 * of the user's configuration. */
extern int tailscale_set_dir(tailscale sd, const char *dir);
extern int tailscale_set_hostname(tailscale sd, const char *hostname);
extern int tailscale_set_authkey(tailscale sd, const char *authkey);
extern int tailscale_set_control_url(tailscale sd, const char *control_url);
extern int tailscale_set_ephemeral(tailscale sd, int ephemeral);
/* The log goes to fd, a file, pipe or terminal that is the library's from now
 * on; -1: nowhere. */
extern int tailscale_set_logfd(tailscale sd, int fd);

/* -- use ------------------------------------------------------------------ */

/* "v4,v6"; "invalid IP" in place of one that the node does not have yet. */
extern int tailscale_getips(tailscale sd, char *buf, size_t buflen);
/* network "tcp" or "udp", addr "host:port". Waits until the node is up. */
extern int tailscale_dial(tailscale sd, const char *network, const char *addr,
			  tailscale_conn *conn_out);
/* network "tcp" or "udp" (then each remote end is a connection), addr
 * ":port" or "ip:port". The listener is readable when a connection waits;
 * close() ends it. */
extern int tailscale_listen(tailscale sd, const char *network,
			    const char *addr,
			    tailscale_listener *listener_out);
extern int tailscale_accept(tailscale_listener listener,
			    tailscale_conn *conn_out);
/* The address, without port, of a connection that came by this listener. */
extern int tailscale_getremoteaddr(tailscale_listener listener,
				   tailscale_conn conn, char *buf,
				   size_t buflen);
/* As tsnet_loopback(); the credentials have 33 bytes each. All is terminated in
 * every case. */
extern int tailscale_loopback(tailscale sd, char *addr_out, size_t addrlen,
			      char *proxy_cred_out, char *local_api_cred_out);
/* Replaces what the node serves: HTTPS of the internet and of the tailnet,
 * by Funnel, goes to this port of 127.0.0.1, without TLS. -1 before the node
 * is up, and where it has not the right to Funnel. */
extern int
tailscale_enable_funnel_to_localhost_plaintext_http1(tailscale sd,
						     int localhostPort);
/* Words for the last error of this server, "" after a success. */
extern int tailscale_errmsg(tailscale sd, char *buf, size_t buflen);

#ifdef __cplusplus
}
#endif
#endif
