FROM python:3.11-slim
RUN --mount=type=secret,id=token,target=/token \
    python -c "print(len(open('/token').read()), 'characters')"
