FROM python:3.11-slim
ARG TOKEN
RUN python -c "import os; print(len(os.environ['TOKEN']), 'characters')"
