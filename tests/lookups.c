/* Preloaded into a process: notes every name that it looks up and every address that it connects to. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

static void note(const char *what, const char *name) {
    FILE *log = fopen(getenv("LOOKUPS"), "a");
    if (log == NULL) return;
    fprintf(log, "%s %s\n", what, name);
    fclose(log);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    if (name != NULL) note("lookup", name);
    return real(name, service, hints, found);
}

int connect(int socket, const struct sockaddr *address, socklen_t size) {
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    char text[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_INET)
        note("connect", inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof text));
    if (address->sa_family == AF_INET6)
        note("connect", inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, sizeof text));
    return real(socket, address, size);
}
