/* SPDX-License-Identifier: BSD-3-Clause
 * lwipopts.h - lwIP reduced to its TCP, and that tuned for a tunnel
 *
 * lwIP is used for the TCP state machine only. IP input, reassembly, UDP, ICMP
 * and the demultiplexing of segments are ours (see stack_private.h), because
 * lwIP's are global to the process and several nodes live in one. Memory comes
 * from malloc (stack_pool.c); what bounds it are the windows and caps in
 * stack_tcp_recv.c and stack_tcp.c.
 */
#ifndef NETSTACK_LWIPOPTS_H
#define NETSTACK_LWIPOPTS_H

#include <stddef.h>
#include <stdint.h>

/* -- platform ------------------------------------------------------------- */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_STATS 0
#define LWIP_TIMERS 0 /* stack_timer.c calls lwIP's two TCP timers */
#define MEM_CUSTOM_ALLOCATOR 1
void *stack_pool_take(size_t size);
void *stack_pool_take_zeroed(size_t count, size_t size);
void stack_pool_give(void *block);
#define MEM_CUSTOM_MALLOC stack_pool_take
#define MEM_CUSTOM_CALLOC stack_pool_take_zeroed
#define MEM_CUSTOM_FREE stack_pool_give
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1
#define LWIP_SUPPORT_CUSTOM_PBUF 1

/* -- protocols ------------------------------------------------------------ */
#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_IPV6_SCOPES 0
#define LWIP_IPV6_NUM_ADDRESSES 1
#define LWIP_ARP 0
#define LWIP_ETHERNET 0
#define LWIP_ICMP 0
#define LWIP_ICMP6 1 /* ip6.c refers to it; never entered */
#define LWIP_RAW 0
#define LWIP_UDP 0
#define LWIP_DNS 0
#define LWIP_DHCP 0
#define LWIP_IGMP 0
#define LWIP_IPV6_MLD 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_ND6_ALLOW_RA_UPDATES 0
#define LWIP_ND6_QUEUEING 0
#define LWIP_ND6_TCP_REACHABILITY_HINTS 0
#define LWIP_ND6_NUM_NEIGHBORS 1
#define LWIP_ND6_NUM_DESTINATIONS 1
#define LWIP_ND6_NUM_PREFIXES 1
#define LWIP_ND6_NUM_ROUTERS 1
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_FRAG 0
#define IP_FORWARD 0
#define LWIP_IPV6_FORWARD 0
#define LWIP_NETIF_LOOPBACK 0
#define LWIP_HAVE_LOOPIF 0

/* -- checksums: TCP's are made and checked on flat packets by us ---------- */
#define CHECKSUM_GEN_TCP 0
#define CHECKSUM_CHECK_TCP 0
#define CHECKSUM_CHECK_IP 0
uint16_t stack_lwip_checksum(const void *data, int len);
#define LWIP_CHKSUM stack_lwip_checksum

/* -- TCP ------------------------------------------------------------------ */
#define LWIP_TCP 1
#define LWIP_TCP_KEEPALIVE 1
#define LWIP_CALLBACK_API 1
#define TCP_LISTEN_BACKLOG 0
#define SO_REUSE 0
#define TCP_MSS 8940 /* stack_mtu.c lowers it by the netif's MTU */
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 8
#define TCP_WND (0xffff << TCP_RCV_SCALE) /* 16 MB */
#define TCP_SND_BUF (16 * 1024 * 1024)
#define TCP_SND_QUEUELEN 61440
#define TCP_OVERSIZE TCP_MSS
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_PBUFS 4096
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
/* Off: they cost 12 bytes a packet, and tcp_rtt.c measures the round trip
 * without them. Reuse of a TIME-WAIT tuple then goes by sequence number. */
#define LWIP_TCP_TIMESTAMPS 0

/* Timer arithmetic: the slow tick is twice this, 20 ms; retransmission times
 * are counted in slow ticks in 16 bits, so the longest is 655 s. */
#define TCP_TMR_INTERVAL 10
#define LWIP_TCP_RTO_TIME 1000
#define TCP_MSL 30000
#define TCP_SYNMAXRTX 7 /* 1 + 2 + ... + 64 = 127 s */
#define TCP_MAXRTX 12

uint32_t stack_tcp_isn(const void *local_ip, uint16_t local_port,
		       const void *remote_ip, uint16_t remote_port);
#define LWIP_HOOK_TCP_ISN stack_tcp_isn

#endif
