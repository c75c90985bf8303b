# Stands in for the image nginxinc/nginx-unprivileged where none can be pulled (CTR_STANDIN_DIR of ../shared/tools/containers.sh):
# Debian's nginx with what the compose file needs of that image: user 101, /var/cache/nginx in its hands, curl and envsubst.
FROM standin/debian:bookworm
RUN apt-get update -qq \
 && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends nginx gettext-base curl \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o 101 -g 0 -m 775 /var/cache/nginx
EXPOSE 8080
STOPSIGNAL SIGQUIT
USER 101
CMD ["nginx", "-g", "daemon off;"]
