/* SPDX-License-Identifier: BSD-3-Clause
 * libtailscale.h - the names by which libtailscale's bindings call it
 *
 * Its Go build exports these beside those of tailscale.h, which says what they
 * do; the Python and Ruby bindings use them.
 */
#ifndef LIBTAILSCALE_H
#define LIBTAILSCALE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

extern int TsnetNewServer(void);
extern int TsnetStart(int sd);
extern int TsnetUp(int sd);
extern int TsnetClose(int sd);
extern int TsnetErrmsg(int sd, char *buf, size_t buflen);
extern int TsnetDial(int sd, const char *network, const char *addr,
		     int *conn_out);
extern int TsnetSetDir(int sd, const char *dir);
extern int TsnetSetHostname(int sd, const char *hostname);
extern int TsnetSetAuthKey(int sd, const char *authkey);
extern int TsnetSetControlURL(int sd, const char *control_url);
extern int TsnetSetEphemeral(int sd, int ephemeral);
extern int TsnetSetLogFD(int sd, int fd);
extern int TsnetGetIps(int sd, char *buf, size_t buflen);
extern int TsnetGetRemoteAddr(int listener, int conn, char *buf,
			      size_t buflen);
extern int TsnetListen(int sd, const char *network, const char *addr,
		       int *listener_out);
extern int TsnetAccept(int listener, int *conn_out);
extern int TsnetLoopback(int sd, char *addr_out, size_t addrlen,
			 char *proxy_cred_out, char *local_api_cred_out);
extern int TsnetEnableFunnelToLocalhostPlaintextHttp1(int sd,
						      int localhostPort);

#ifdef __cplusplus
}
#endif
#endif
