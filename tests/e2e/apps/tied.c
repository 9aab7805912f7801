/* SPDX-License-Identifier: BSD-3-Clause
 * tied.c INTERFACE ADDRESS PORT - how connect() and sendto() go on sockets that
 * are tied to INTERFACE
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int tied(int type, const char *interface)
{
	int fd = socket(AF_INET, type, 0);
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);

	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
		       (socklen_t)strlen(interface)) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) != 0 ||
	    strcmp(name, interface) != 0)
		exit(77);
	return fd;
}

static void tell(const char *what, long done)
{
	printf("%s: %s\n", what, done < 0 ? strerrorname_np(errno) : "OK");
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	const struct sockaddr *addr = (const struct sockaddr *)&to;

	if (argc != 4 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
		return 64;
	to.sin_port = htons((unsigned short)atoi(argv[3]));
	tell("stream", connect(tied(SOCK_STREAM, argv[1]), addr, sizeof(to)));
	tell("datagrams", connect(tied(SOCK_DGRAM, argv[1]), addr, sizeof(to)));
	tell("datagram", sendto(tied(SOCK_DGRAM, argv[1]), "x", 1, 0, addr,
				sizeof(to)));
	return 0;
}
