FROM python:3.11-slim
COPY token .
RUN python -c "print(len(open('token').read()), 'characters')"
RUN rm token
